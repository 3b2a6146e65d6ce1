import { describe, expect, it } from '@jest/globals';
import { freePort } from '../../support/free-port.ts';
import { startMantis } from '../../support/mantis-process.ts';

describe('the HTTP port', () => {
  it('tells health and metrics', async () => {
    const httpPort = await freePort();
    const node = await startMantis({ args: ['--http-port', String(httpPort)], dataDir: 'none' });
    const get = async (path: string, method = 'GET'): Promise<{ status: number; text: string }> => {
      const response = await fetch(`http://127.0.0.1:${httpPort}${path}`, { method });
      return { status: response.status, text: await response.text() };
    };
    expect(await get('/health/live')).toEqual({ status: 200, text: 'alive\n' });
    expect(await get('/health/ready')).toEqual({ status: 200, text: 'ready\n' });
    const metrics = await get('/metrics');
    expect(metrics.status).toBe(200);
    expect(metrics.text).toMatch(/^mantis_keys\{database="0"\} 0$/m);
    expect(metrics.text).toMatch(/^mantis_commands_total \d+$/m);
    expect((await get('/metrics', 'POST')).status).toBe(405);
    expect((await get('/nothing')).status).toBe(404);
    await node.server.stop();
    await expect(get('/health/live')).rejects.toThrow();
  });
});
