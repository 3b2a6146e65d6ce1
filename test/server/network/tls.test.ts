/** The TLS port for clients: what its options allow, and changing certificates while a node runs. */
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import tls from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { freePort } from '../../support/free-port.ts';
import { ChildServer } from '../../support/child-server.ts';
import {
  environment,
  type MantisProcess,
  mantisProgram,
  pinnedNode,
  startMantis,
} from '../../support/mantis-process.ts';
import { RespClient } from '../../support/resp-client.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { runMantis } from '../../integration/command-line.ts';
import { readFileSync } from 'node:fs';

const fixture = (name: string): string => new URL(`../../fixtures/peer-tls/${name}`, import.meta.url).pathname;
const pem = (name: string): Buffer => readFileSync(fixture(name));

const authority = fixture('ca.pem');
const own = { cert: pem('node.pem'), key: pem('node.key') };
const foreign = { cert: pem('stranger.pem'), key: pem('stranger.key') };

interface Session {
  reply: string;
  version: string | null;
  cipher: string;
  /** Of the certificate that the server has shown. */
  fingerprint: string;
}

/** Sends PING over TLS. Rejects when the server does not take the connection. */
function ping(port: number, options: tls.ConnectionOptions = own): Promise<Session> {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options }, () => {
      socket.write('PING\r\n');
    });
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('closed')));
    socket.on('data', (data) => {
      const version = socket.getProtocol();
      const { fingerprint256: fingerprint } = socket.getPeerCertificate();
      resolve({ reply: data.toString('latin1'), version, cipher: socket.getCipher().name, fingerprint });
      socket.destroy();
    });
  });
}

async function startTls(tlsPort: number, ...args: string[]): Promise<MantisProcess> {
  const files = ['--tls-cert-file', fixture('node.pem'), '--tls-key-file', fixture('node.key')];
  return startMantis({ dataDir: 'none', args: ['--tls-port', String(tlsPort), ...files, ...args] });
}

describe('a TLS port', () => {
  let port: number;
  let node: MantisProcess;

  beforeAll(async () => {
    port = await freePort();
    const folder = temporaryFolder('authorities');
    copyFileSync(authority, join(folder, '0a1b2c3d.0'));
    mkdirSync(join(folder, 'folder'));
    writeFileSync(join(folder, 'README'), 'no certificate');
    const ciphers = ['--tls-ciphers', 'ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384'];
    node = await startTls(port, '--tls-ca-cert-dir', folder, '--tls-protocols', 'tlsv1.2 TLSv1.3', ...ciphers);
  }, 30_000);

  afterAll(() => node.server.stop());

  it('takes clients whose certificate an authority of tls-ca-cert-dir has signed, and no others', async () => {
    expect((await ping(port)).reply).toBe('+PONG\r\n');
    await expect(ping(port, {})).rejects.toThrow();
    await expect(ping(port, foreign)).rejects.toThrow();
  });

  it('keeps to tls-ciphers for TLS 1.2, with TLS 1.3 beside it', async () => {
    expect(await ping(port)).toMatchObject({ version: 'TLSv1.3' });
    const old = await ping(port, { ...own, maxVersion: 'TLSv1.2' });
    expect(old.cipher).toMatch(/^ECDHE-.*-AES256-GCM-SHA384$/);
    await expect(
      ping(port, {
        ...own,
        maxVersion: 'TLSv1.2',
        ciphers: 'ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256',
      }),
    ).rejects.toThrow();
  });

  it('speaks the versions of tls-protocols alone, and the suites of tls-ciphersuites, also when they change', async () => {
    const client = await RespClient.connect(node.port);
    const suites = ['tls-ciphersuites', 'TLS_AES_128_GCM_SHA256'];
    expect(await client.command('CONFIG', 'SET', 'tls-protocols', 'TLSv1.3', ...suites)).toBe('OK');
    expect(await ping(port)).toMatchObject({ version: 'TLSv1.3', cipher: 'TLS_AES_128_GCM_SHA256' });
    await expect(ping(port, { ...own, maxVersion: 'TLSv1.2' })).rejects.toThrow();
    await client.command('CONFIG', 'SET', 'tls-protocols', '', 'tls-ciphersuites', '');
    await client.close();
  });

  it('asks for certificates or not, as tls-auth-clients says at the moment', async () => {
    const client = await RespClient.connect(node.port);
    expect(await client.command('CONFIG', 'SET', 'tls-auth-clients', 'no')).toBe('OK');
    expect((await ping(port, {})).reply).toBe('+PONG\r\n');
    expect(await client.command('CONFIG', 'SET', 'tls-auth-clients', 'yes')).toBe('OK');
    await expect(ping(port, {})).rejects.toThrow();
    await client.close();
  });
});

describe('CONFIG SET of the certificate', () => {
  it('reads the files anew, also those of the same names, and changes nothing when they do not fit', async () => {
    const port = await freePort();
    const folder = temporaryFolder('certificate');
    const [cert, key] = [join(folder, 'server.crt'), join(folder, 'server.key')];
    copyFileSync(fixture('node.pem'), cert);
    copyFileSync(fixture('node.key'), key);
    const node = await startTls(port, '--tls-auth-clients', 'no', '--tls-cert-file', cert, '--tls-key-file', key);
    const client = await RespClient.connect(node.port);
    const { fingerprint } = await ping(port, {});
    copyFileSync(fixture('stranger.pem'), cert);
    expect(String(await client.command('CONFIG', 'SET', 'tls-cert-file', cert))).toMatch(
      /ERR CONFIG SET failed \(possibly related to argument 'tls-cert-file'\) - .*key values mismatch/,
    );
    expect((await ping(port, {})).fingerprint).toBe(fingerprint);
    copyFileSync(fixture('stranger.key'), key);
    expect(await client.command('CONFIG', 'SET', 'tls-cert-file', cert)).toBe('OK');
    expect((await ping(port, {})).fingerprint).not.toBe(fingerprint);
    expect(String(await client.command('CONFIG', 'SET', 'tls-key-file', join(folder, 'none')))).toMatch(
      /tls-key-file cannot be read: ENOENT/,
    );
    await client.close();
    await node.server.stop();
  }, 30_000);
});

it.each(['TLS', 'a Unix socket'])(
  'mantis verify and backup ask a node that is reached by %s alone',
  async (way) => {
    const dataDir = temporaryFolder('node');
    const tlsPort = await freePort();
    const files = ['--tls-cert-file', fixture('node.pem'), '--tls-key-file', fixture('node.key')];
    const certificates = [...files, '--tls-ca-cert-file', authority];
    const own =
      way === 'TLS' ? ['--tls-port', String(tlsPort), ...certificates] : ['--unixsocket', join(dataDir, 'socket')];
    const options = ['--port', '0', '--data-dir', join(dataDir, 'data'), '--requirepass', 'hush', ...own];
    const node = await ChildServer.start({
      program: pinnedNode,
      args: [mantisProgram, ...options],
      env: environment(),
      isReady: async () => (await runMantis('verify', ...options)).code === 0,
    });
    const verified = await runMantis('verify', ...options);
    expect(verified).toEqual({ code: 0, output: expect.stringContaining('The stores and memory are alike') });
    const copied = await runMantis('backup', join(dataDir, 'copy'), ...options);
    expect(copied).toEqual({ code: 0, output: expect.stringContaining('entries to') });
    expect(node.logs).toContain(way === 'TLS' ? `127.0.0.1:${tlsPort} (TLS)` : join(dataDir, 'socket'));
    if (way === 'TLS') {
      const wrong = ['--tls-cert-file', fixture('stranger.pem'), '--tls-key-file', fixture('stranger.key')];
      const refused = await runMantis('verify', ...options, ...wrong, '--tls-auth-clients', 'no');
      expect(refused.code).toBe(1);
    }
    await node.stop();
  },
  60_000,
);

describe('a TLS port that cannot be', () => {
  const start = (...args: string[]): Promise<{ code: number; output: string }> =>
    runMantis('--port', '0', '--tls-port', '1', '--data-dir', 'none', ...args);
  const files = ['--tls-cert-file', fixture('node.pem'), '--tls-key-file', fixture('node.key')];

  it.each<[string, string[], RegExp]>([
    ['without authorities', files, /tls-port: clients' certificates are checked against 'tls-ca-cert-file'/],
    [
      'with a file that is not there',
      ['--tls-auth-clients', 'no', '--tls-cert-file', '/none', '--tls-key-file', '/none'],
      /^mantis: tls-cert-file cannot be read: ENOENT/,
    ],
    [
      'with a file that is no certificate',
      ['--tls-auth-clients', 'no', '--tls-cert-file', '/etc/hostname', '--tls-key-file', fixture('node.key')],
      /^mantis: the tls-\* options cannot be used together, or one of the files is not PEM/,
    ],
    [
      'with a folder of authorities that has none',
      [...files, '--tls-ca-cert-dir', temporaryFolder('empty')],
      /^mantis: tls-ca-cert-dir has no certificate/,
    ],
    [
      'with a version that there is not',
      [...files, '--tls-auth-clients', 'no', '--tls-protocols', 'TLSv1.2 SSLv3'],
      /'SSLv3' is none of TLSv1, /,
    ],
  ])('%s says so and ends with 1', async (_what, args, message) => {
    const { code, output } = await start(...args);
    expect(output).toMatch(message);
    expect(code).toBe(1);
  });
});
