/** Nodes in this process, whose wall clocks the test sets: what they stamp, and when they refuse to. */
import { afterEach, describe, expect, it } from '@jest/globals';
import pino from 'pino';
import { compareStamp } from '../../../protocol/stamp.ts';
import { Config } from '../../../server/config/config.ts';
import { Runtime } from '../../../server/runtime.ts';
import { systemEnvironment } from '../../../server/runtime/system-environment.ts';
import { LogKeeper } from '../../replication/virtual-world.ts';
import { HarnessClient } from '../../support/command-harness.ts';
import { freePort } from '../../support/free-port.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { waitFor } from '../../support/wait-for.ts';

const HOUR_MS = 3_600_000;
const running = new Set<ClockNode>();

afterEach(async () => {
  for (const node of running) await node.stop();
});

class ClockNode {
  readonly runtime: Runtime;
  readonly #client: HarnessClient;

  static async start(settings: Record<string, string>, wallClockMs: () => number): Promise<ClockNode> {
    const config = Config.fromSources({ settings: { port: '0', 'http-port': '0', ...settings } });
    const environment = {
      ...systemEnvironment(config),
      logger: pino({ level: 'silent' }),
      log: new LogKeeper(),
      wallClockMs,
    };
    const runtime = await Runtime.create(config, environment, { listen: false });
    await runtime.start();
    const node = new ClockNode(runtime);
    running.add(node);
    return node;
  }

  private constructor(runtime: Runtime) {
    this.runtime = runtime;
    this.#client = new HarnessClient(1, runtime.dispatcher, 0);
  }

  run(...words: string[]): string {
    return this.#client.run(...words).toString();
  }

  /** Writes, and gives the stamp. */
  write(): { hi: number; lo: number } {
    expect(this.run('SET', 'key', 'value')).toBe('+OK\r\n');
    const { hi, lo } = this.runtime.keyspace.clock;
    return { hi, lo };
  }

  async stop(isClean = true): Promise<void> {
    running.delete(this);
    await this.runtime.shutdown({ save: isClean, force: !isClean, now: true });
  }
}

describe('stamps', () => {
  it.each([
    ['an hour back', -HOUR_MS],
    ['an hour forward and back again', HOUR_MS],
    ['to 1970', -Infinity],
    ['not at all: it is frozen', 0],
  ])(
    'only rise when the clock is set %s, over a crash and over a clean stop',
    async (_what, stepMs) => {
      let offsetMs = 0;
      const startMs = Date.now();
      const wallClockMs = (): number => (offsetMs === -Infinity ? 5000 : startMs + offsetMs);
      const settings = { 'data-dir': temporaryFolder('clock'), 'peer-port': 'none', 'flush-interval': '1h' };
      let last = { hi: 0, lo: 0 };
      const expectLater = (node: ClockNode): void => {
        const stamp = node.write();
        expect(compareStamp(stamp.hi, stamp.lo, last.hi, last.lo)).toBeGreaterThan(0);
        last = stamp;
      };
      let crashed = '';
      for (const isClean of [true, false, true]) {
        offsetMs = 0;
        const node = await ClockNode.start(settings, wallClockMs);
        expectLater(node);
        offsetMs = stepMs;
        expectLater(node);
        expectLater(node);
        // Over a clean stop the writer stays, and its stamps may not be used again; a crash begins a new writer.
        const { hi, lo } = node.runtime.keyspace.nodes;
        expect(`${hi[0]} ${lo[0]}`).not.toBe(crashed);
        if (!isClean) crashed = `${hi[0]} ${lo[0]}`;
        if (!isClean && stepMs > 0) last = { hi: 0, lo: 0 };
        await node.stop(isClean);
      }
    },
    60_000,
  );
});

describe('a node whose clock is fast', () => {
  it('refuses writes, says so, and takes them again when the clock is right', async () => {
    let offsetMs = 0;
    const wallClockMs = (): number => Date.now() + offsetMs;
    const peerPort = String(await freePort());
    const settings = { 'data-dir': 'none', 'cluster-secret': 'shared-secret', 'peer-reconnect-delay-max': '100ms' };
    const first = await ClockNode.start({ ...settings, 'peer-port': peerPort }, Date.now);
    const second = await ClockNode.start(
      { ...settings, 'peer-port': String(await freePort()), peers: `127.0.0.1:${peerPort}` },
      wallClockMs,
    );
    await waitFor('the link', () => first.runtime.replicator?.linkedPeers === 1);
    second.write();
    await waitFor('the peer to know', () => second.runtime.replicator?.clockStanding().peers === 1);
    await waitFor('the write to arrive', () => first.run('GET', 'key') === '$5\r\nvalue\r\n');
    // From one moment to the next: not one write gets a stamp that would keep the node apart until then.
    offsetMs = HOUR_MS;
    const refusal = second.run('SET', 'key', 'from the future');
    expect(refusal).toMatch(/^-MISCONF the clock of this node is 3\d\d\d s ahead .*max-clock-drift.*time service/);
    expect(second.run('GET', 'key')).toBe('$5\r\nvalue\r\n');
    expect(second.run('MANTIS', 'STATUS')).toMatch(/state: read-only[^]*clock_ahead_of_peers_ms: 3\d{6}/);
    expect(first.run('SET', 'other', 'value')).toBe('+OK\r\n');
    offsetMs = 0;
    await waitFor('writes to be taken', () => second.runtime.writeRefusal === null);
    second.write();
    await waitFor('the link', () => first.runtime.replicator?.linkedPeers === 1);
  }, 60_000);
});
