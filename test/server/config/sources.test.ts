import { resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { ConfigError } from '../../../server/config/assignment.ts';
import type { ConfigSources } from '../../../server/config/config.ts';
import { Config } from '../../../server/config/config.ts';

function files(texts: Record<string, string>): (path: string) => string {
  return (path) => {
    const text = texts[path];
    if (text === undefined) throw Object.assign(new Error('no file'), { code: 'ENOENT' });
    return text;
  };
}

function problemsOf(sources: ConfigSources): string[] {
  try {
    Config.fromSources(sources);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(({ where, message }) => `${where}: ${message}`);
    throw error;
  }
  return [];
}

describe('flags', () => {
  it('takes one value, several values, = and everything in one argument', () => {
    const argv = [
      '--port',
      '7001',
      '--bind',
      '127.0.0.1',
      '-::1',
      '--maxmemory=1gb',
      '--loglevel debug',
      '--save',
      '900',
      '1',
    ];
    const config = Config.fromSources({ argv });
    expect(config.get(['port', 'bind', 'maxmemory', 'loglevel', 'save'])).toEqual([
      ['port', '7001'],
      ['bind', '127.0.0.1 -::1'],
      ['maxmemory', '1073741824'],
      ['loglevel', 'debug'],
      ['save', '900 1'],
    ]);
  });

  it('takes values that begin with dashes, and an empty list by its name alone', () => {
    const config = Config.fromSources({
      argv: ['--proc-title-template', '--my--title', '--slowlog-log-slower-than', '-1', '--save', '--PORT', '1'],
    });
    expect(
      config.get(['proc-title-template', 'slowlog-log-slower-than', 'save', 'port']).map(([, value]) => value),
    ).toEqual(['--my--title', '-1', '', '1']);
  });

  it('names the place of each problem, all at once', () => {
    const argv = ['--prot', '1', '--port', '--maxmemory', '5xx', '--timeout', '1', '2', '--hz=1', 'left'];
    expect(problemsOf({ argv })).toEqual([
      "argument 10: unexpected 'left' after --hz (argument 9)",
      "--prot (argument 1): unknown option 'prot'; did you mean 'port'?",
      '--port (argument 3): wrong number of arguments (it needs a value: integer, 0 to 65535)',
      expect.stringContaining("--maxmemory (argument 4): '5xx': argument must be a memory value (a size is"),
      "--timeout (argument 6): '1' '2': wrong number of arguments (it takes one value: duration, bare number in seconds)",
    ]);
  });

  it('never repeats a secret', () => {
    const problems = problemsOf({ argv: ['--mysql', 'oops://me:hush@h/d', '--cluster-secret', 'hush'] });
    expect(problems).toHaveLength(2);
    expect(problems.join()).not.toContain('hush');
  });
});

describe('files', () => {
  it('reads lines, quotes, comments and includes', () => {
    const readFile = files({
      'a.conf': '# mantis\nport 1\ninclude b.conf\nrequirepass "a b"\nsave 900 1\nsave 60 5\n',
      'b.conf':
        'port 2\r\nmaxclients 7\r\nclient-output-buffer-limit normal 1 2 3\nclient-output-buffer-limit pubsub 1 2 3',
    });
    const config = Config.fromSources({ argv: ['a.conf'], readFile });
    expect(config.file).toBe(resolve('a.conf'));
    expect(config.values).toMatchObject({ port: 2, maxclients: 7, requirepass: 'a b' });
    expect(config.get(['save'])).toEqual([['save', '900 1 60 5']]);
    expect(config.get(['client-output-buffer-limit'])[0]?.[1]).toBe(
      'normal 1 2 3 slave 268435456 67108864 60 pubsub 1 2 3',
    );
  });

  it('reads standard input, which is no file to rewrite', () => {
    const config = Config.fromSources({ argv: ['-', '--hz', '20'], readFile: files({ '-': 'port 3\nhz 5' }) });
    expect(config.values).toMatchObject({ port: 3, hz: 20 });
    expect(config.file).toBeUndefined();
  });

  it.each([
    ['prot 7001', "m.conf:1: unknown option 'prot'; did you mean 'port'?"],
    ['\n\nflush-interval 5x', "m.conf:3: flush-interval '5x': argument must be a duration"],
    ['maxmemory 1 gb', "m.conf:1: maxmemory '1' 'gb': wrong number of arguments"],
    ['port 1 # mine', 'a comment needs a line of its own'],
    ['port "1', 'm.conf:1: unbalanced quotes'],
    ['port', 'm.conf:1: port: wrong number of arguments (it needs a value'],
    ['include', "m.conf:1: 'include' names no file"],
    ['include gone.conf', "m.conf:1: cannot read the configuration file 'gone.conf': there is no such file"],
    ['include m.conf', 'm.conf:1: files include each other more than 16 deep'],
    ['user alice on\nuser alice off', "m.conf:2: user: Duplicate user 'alice' found (a user is defined once)"],
    ['rename-command FLUSHALL ""', 'commands cannot be renamed'],
  ])('reports %j', (text, expected) => {
    const problems = problemsOf({ argv: ['m.conf'], readFile: files({ 'm.conf': text }) });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(expected);
  });

  it('reports a missing file and a second one', () => {
    expect(
      problemsOf({ argv: ['gone.conf', 'two.conf'], firstPosition: 2, readFile: files({ 'two.conf': '' }) }),
    ).toEqual([
      "argument 3: unexpected 'two.conf': the configuration file is already 'gone.conf'",
      "argument 2: cannot read the configuration file 'gone.conf': there is no such file",
    ]);
  });
});

describe('environment', () => {
  it('reads variables, and cuts those of lists into words', () => {
    const config = Config.fromSources({
      env: {
        MANTIS_PORT: '7',
        MANTIS_DATA_DIR: 'none',
        MANTIS_BIND: '::1 127.0.0.1',
        MANTIS_REQUIREPASS: 'a b',
        PORT: '9',
      },
    });
    expect(config.values).toMatchObject({ port: 7, 'data-dir': null, bind: ['::1', '127.0.0.1'], requirepass: 'a b' });
  });

  it('leaves empty ones and the links of Kubernetes and Docker alone', () => {
    const env = {
      MANTIS_PORT: 'tcp://10.0.0.1:6379',
      MANTIS_PORT_6379_TCP_ADDR: '10.0.0.1',
      MANTIS_SERVICE_HOST: '10.0.0.1',
      MANTIS_MYSQL: '',
    };
    expect(Config.fromSources({ env }).values.port).toBe(6379);
  });

  it('reports wrong names and values', () => {
    expect(
      problemsOf({ env: { MANTIS_PROT: '1', MANTIS_FLUSH_INTERVALL: '1s', MANTIS_HZ: 'x', MANTIS_BIND: '"' } }),
    ).toEqual([
      'MANTIS_BIND: unbalanced quotes',
      'MANTIS_FLUSH_INTERVALL: unknown option in the environment; did you mean MANTIS_FLUSH_INTERVAL?',
      'MANTIS_PROT: unknown option in the environment; did you mean MANTIS_PORT?',
      expect.stringMatching(/^MANTIS_HZ: 'x': argument couldn't be parsed into an integer/),
    ]);
  });
});

describe('precedence', () => {
  it('is setting over flag over environment over file over default', () => {
    const readFile = files({ f: 'port 1\nhz 11\ntimeout 11\nmaxclients 11' });
    const config = Config.fromSources({
      argv: ['f', '--timeout', '13', '--maxclients', '13'],
      env: { MANTIS_HZ: '12', MANTIS_TIMEOUT: '12', MANTIS_MAXCLIENTS: '12' },
      settings: { maxclients: 14, databases: undefined },
      readFile,
    });
    expect(config.values).toMatchObject({ databases: 16, port: 1, hz: 12, timeout: 13_000, maxclients: 14 });
  });

  // As Debian's service starts redis-server: its redis.conf says yes.
  it('lets a flag take back what a file asks for and Mantis cannot do', () => {
    const readFile = files({ f: 'daemonize yes\nreplicaof host 1' });
    expect(problemsOf({ argv: ['f', '--daemonize', 'no', '--replicaof', ''], readFile })).toEqual([]);
    expect(problemsOf({ argv: ['f', '--daemonize', 'no'], readFile })).toEqual([
      expect.stringMatching(/^f:2: replicaof 'host' '1': only '' is supported/),
    ]);
    expect(problemsOf({ argv: ['--daemonize', 'no', '--daemonize', 'yes'] })).toEqual([
      expect.stringMatching(/^--daemonize \(argument 3\): 'yes': only 'no' is supported/),
    ]);
  });
});

describe('notices', () => {
  it('tell of options that were given and do nothing, with what does', () => {
    const { notices } = Config.fromSources({ argv: ['--appendfsync', 'always', '--save', '', '--hz', '20'] });
    expect(notices).toEqual(['--appendfsync (argument 1): appendfsync has no effect here; see durability']);
  });

  it('tell of peers that are compared more often than repair-interval says, because of the horizon', () => {
    const noticesOf = (...argv: string[]): number => Config.fromSources({ argv }).notices.length;
    expect(noticesOf('--tombstone-horizon', '179s')).toBe(1);
    expect(noticesOf('--tombstone-horizon', '180s')).toBe(0);
    expect(noticesOf('--tombstone-horizon', '10s', '--repair-interval', '3s')).toBe(0);
    expect(noticesOf('--tombstone-horizon', '10s', '--peer-port', 'none')).toBe(0);
  });
});
