import { describe, expect, it } from '@jest/globals';
import { listenProblem, peerBindOf, peerPortOf } from '../../../server/config/checks.ts';
import type { Setting } from '../../../server/config/sources.ts';
import { Config } from '../../../server/config/config.ts';

function read(settings: Record<string, Setting>): Config {
  return Config.fromSources({ settings });
}

describe('the peer port', () => {
  it('follows the client port, a number, or nothing', () => {
    expect(peerPortOf(read({}).values)).toBe(16379);
    expect(peerPortOf(read({ port: 7001 }).values)).toBe(17001);
    expect(peerPortOf(read({ 'peer-port': 5 }).values)).toBe(5);
    expect(peerPortOf(read({ 'peer-port': 'none' }).values)).toBeNull();
    expect(peerPortOf(read({ port: 0 }).values)).toBeNull();
    expect(peerPortOf(read({ port: 60000 }).values)).toBeNull();
  });

  it('listens on the loopback until there is a secret', () => {
    expect(peerBindOf(read({ bind: '0.0.0.0' }).values)).toEqual(['127.0.0.1', '-::1']);
    expect(peerBindOf(read({ bind: '0.0.0.0', 'cluster-secret': 'hush-hush' }).values)).toEqual(['0.0.0.0']);
    expect(peerBindOf(read({ 'peer-bind': '10.0.0.1', 'cluster-secret': 'hush-hush' }).values)).toEqual(['10.0.0.1']);
  });
});

describe('options that do not go together', () => {
  it.each<[Record<string, Setting>, string]>([
    [
      { 'peer-bind': '0.0.0.0' },
      "setting 'peer-bind': peer-bind: peers may reach '0.0.0.0' from other machines, which needs a 'cluster-secret'",
    ],
    [{ port: 60000, peers: '127.0.0.1:17001' }, 'port 60000 + 10000 is no port'],
    [{ port: 60000, 'cluster-secret': 'hush-hush' }, 'port 60000 + 10000 is no port'],
    [{ port: 7000, 'http-port': 7000 }, "port 7000 is that of 'port' already"],
    [
      { port: 7000, 'tls-port': 17000, 'tls-cert-file': 'c', 'tls-key-file': 'k' },
      "port 17000 is that of 'tls-port' already",
    ],
    [{ 'tls-port': 7000 }, "it needs 'tls-cert-file' and 'tls-key-file'"],
    [{ 'peer-tls': true }, "it needs 'peer-tls-cert-file'"],
    [{ durability: 'always', 'data-dir': 'none' }, "'always' syncs to the embedded store"],
    [{ durability: 'mysql' }, "'mysql' needs a database"],
    [{ durability: 'replicas=1', 'peer-port': 'none' }, "'replicas' needs peers"],
    [{ bind: '' }, "setting 'bind': bind: it names no address, so no client could connect"],
    [{ bind: '', port: 0, 'tls-port': 7000, 'tls-cert-file': 'c', 'tls-key-file': 'k' }, 'it names no address'],
  ])('%j is refused: %s', (settings, message) => {
    expect(() => read(settings)).toThrow(message);
  });

  it('take a peer bind with a secret, and one that nobody listens on', () => {
    expect(() => read({ 'peer-bind': '0.0.0.0', 'cluster-secret': 'hush-hush' })).not.toThrow();
    expect(() => read({ 'peer-bind': '0.0.0.0', 'peer-port': 'none' })).not.toThrow();
  });
});

it('no address is needed without a port, and with a Unix socket', () => {
  expect(() => read({ bind: '', port: 0 })).not.toThrow();
  expect(() => read({ bind: '', unixsocket: '/run/mantis.sock' })).not.toThrow();
});

describe('listenProblem', () => {
  it('names the port and the option that moves it', () => {
    expect(listenProblem('port', '127.0.0.1', 6379, 'EADDRINUSE')).toBe(
      '127.0.0.1:6379 is taken by another program; choose another port with --port',
    );
    expect(listenProblem('peer-port', '::1', 16379, 'EADDRINUSE')).toContain('[::1]:16379 is taken');
    expect(listenProblem('port', '127.0.0.1', 80, 'EACCES')).toContain('above 1023 with --port');
    expect(listenProblem('peer-port', '1.2.3.4', 80, 'EADDRNOTAVAIL')).toContain('--peer-bind');
    expect(listenProblem('http-port', '1.2.3.4', 80, 'EADDRNOTAVAIL')).toContain('--http-bind');
    expect(listenProblem('port', 'nowhere', 80, 'ENOTFOUND')).toBe(
      'the name nowhere has no address; choose others with --bind',
    );
    expect(listenProblem('port', '1.2.3.4', 80, undefined)).toContain('--port');
  });
});
