/** Clusters that are ready for what a test does with them. */
import { waitFor } from './wait-for.ts';
import { type MantisProcess, startMantis } from './mantis-process.ts';
import { RespClient } from './resp-client.ts';

/** Two linked nodes without stores. @param args options of the first */
export async function startLinkedPair(args: string[] = []): Promise<[MantisProcess, MantisProcess]> {
  const first = await startMantis({ dataDir: 'none', args });
  const second = await startMantis({ dataDir: 'none', args: ['--peers', `127.0.0.1:${first.peerPort}`] });
  const nodes: [MantisProcess, MantisProcess] = [first, second];
  await untilSettled(nodes);
  return nodes;
}

/**
 * Waits until two nodes that have just started are linked and have stored what was written: until then each takes over the state of
 * the other, and what comes meanwhile is merged behind that. Leaves no key.
 */
async function untilSettled(nodes: readonly MantisProcess[]): Promise<void> {
  const clients = await Promise.all(nodes.map(({ port }) => RespClient.connect(port)));
  /** Stamps, of which the milliseconds and the counter are given equal lengths: so they compare as texts. */
  const stampsOf = async (name: string): Promise<string[]> => {
    const states = await Promise.all(clients.map((client) => client.command('MANTIS', 'STATUS')));
    const parts = states.map((state) => new RegExp(`^${name}: *(\\d+)-(\\d+)$`, 'm').exec(String(state))!);
    return parts.map(([, milliseconds, counter]) => `${milliseconds.padStart(20, '0')}-${counter.padStart(10, '0')}`);
  };
  for (const client of clients) {
    await waitFor('the link', async () =>
      String(await client.command('INFO', 'mantis')).includes(`peers_linked:${nodes.length - 1}\r\n`),
    );
  }
  await clients[0].command('SET', 'first', 'value');
  await waitFor('both to have stored what was written', async () => {
    const [held, reaped] = [await stampsOf('held'), await stampsOf('reaped')];
    return held.every((stamp, index) => stamp > reaped[1 - index]);
  });
  await clients[0].command('DEL', 'first');
  await waitFor('the deletion', async () => (await clients[1].command('EXISTS', 'first')) === 0);
  await Promise.all(clients.map((client) => client.close()));
}
