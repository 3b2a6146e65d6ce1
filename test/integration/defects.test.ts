/** Mistakes of our own, which end a node in an order that loses nothing. */
import { expect, it } from '@jest/globals';
import { startMantis } from '../support/mantis-process.ts';
import { RespClient } from '../support/resp-client.ts';

const KINDS = {
  'a rejection that nobody handles': 'Promise.reject(new Error("planted"))',
  'an exception that nobody catches': 'setImmediate(() => { throw new Error("planted"); })',
};

it.each(Object.entries(KINDS))(
  '%s is logged with its stack; the node flushes and ends with 1',
  async (_kind, defect) => {
    const planted = `process.on('SIGUSR2', () => { ${defect}; });`;
    const preload = `data:text/javascript,${encodeURIComponent(planted).replaceAll("'", '%27')}`;
    const node = await startMantis({
      args: ['--flush-interval', '1h'],
      env: { NODE_OPTIONS: `--import=${preload}` },
    });
    const client = await RespClient.connect(node.port);
    expect(await client.command('SET', 'key', 'acknowledged')).toBe('OK');
    expect(await node.server.kill('SIGUSR2')).toBe(1);
    expect(node.server.logs).toMatch(/"stack":"Error: planted\\n +at .*internal error; flushing and stopping/);

    const again = await startMantis({ dataDir: node.dataDir });
    const reader = await RespClient.connect(again.port);
    expect(await reader.command('GET', 'key')).toBe('acknowledged');
    await reader.close();
    await again.server.stop();
  },
);
