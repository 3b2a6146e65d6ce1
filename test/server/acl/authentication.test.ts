import { afterEach, describe, expect, it } from '@jest/globals';
import { type MantisProcess, startMantis } from '../../support/mantis-process.ts';
import { RespClient } from '../../support/resp-client.ts';
import { RespError } from '../../support/resp3-parser.ts';

const PASSWORD = 'correct horse';
const WRONG = new RespError('WRONGPASS invalid username-password pair or user is disabled.');
const NO_AUTH = new RespError('NOAUTH Authentication required.');

let server: MantisProcess | undefined;

afterEach(async () => {
  await server?.server.stop();
});

async function start(...args: string[]): Promise<RespClient> {
  server = await startMantis({ dataDir: 'none', args });
  return RespClient.connect(server.port);
}

describe('requirepass', () => {
  it('lets in whoever knows it, by both forms of AUTH, and nobody else', async () => {
    const client = await start('--requirepass', PASSWORD);
    expect(await client.command('GET', 'a')).toEqual(NO_AUTH);
    expect(await client.command('AUTH', 'wrong')).toEqual(WRONG);
    expect(await client.command('AUTH', '')).toEqual(WRONG);
    expect(await client.command('AUTH', 'somebody', PASSWORD)).toEqual(WRONG);
    expect(await client.command('GET', 'a')).toEqual(NO_AUTH);
    expect(await client.command('AUTH', PASSWORD)).toBe('OK');
    expect(await client.command('GET', 'a')).toBeNull();
    expect(await client.command('RESET')).toBe('RESET');
    expect(await client.command('GET', 'a')).toEqual(NO_AUTH);
    expect(await client.command('AUTH', 'default', PASSWORD)).toBe('OK');
    expect(await client.command('ACL', 'WHOAMI')).toBe('default');
    await client.close();
  });

  it('is changed by CONFIG SET: who is in stays in', async () => {
    const client = await start();
    expect(await client.command('CONFIG', 'SET', 'requirepass', PASSWORD)).toBe('OK');
    expect(await client.command('GET', 'a')).toBeNull();
    const other = await RespClient.connect(server!.port);
    expect(await other.command('GET', 'a')).toEqual(NO_AUTH);
    expect(String(await client.command('ACL', 'LIST'))).toMatch(/^user default on #[0-9a-f]{64} ~\* &\* \+@all$/);
    await Promise.all([client.close(), other.close()]);
  });

  it('is guessed slowly: answers to one connection come later each time, and are counted and logged', async () => {
    const client = await start('--requirepass', PASSWORD);
    const startedAtMs = performance.now();
    for (let guess = 0; guess < 6; guess++) expect(await client.command('AUTH', `guess ${guess}`)).toEqual(WRONG);
    expect(performance.now() - startedAtMs).toBeGreaterThan(300);
    expect(await client.command('AUTH', PASSWORD)).toBe('OK');
    expect(String(await client.command('INFO', 'stats'))).toContain('acl_access_denied_auth:6\r\n');
    expect(server!.server.logs).toContain('a client gave a wrong user or password');
    expect(server!.server.logs).not.toContain('guess 1');
    await client.close();
  });
});
