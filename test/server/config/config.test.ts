import { describe, expect, it } from '@jest/globals';
import { Config } from '../../../server/config/config.ts';
import { ValueError } from '../../../server/config/option-type.ts';
import { redisOptions } from './redis-options.ts';

function values(config: Config, ...names: string[]): string[] {
  return config.get(names).map(([, value]) => value);
}

describe('CONFIG GET', () => {
  it('knows every option of Redis 7.0 with its default', () => {
    const config = Config.fromSources();
    expect(redisOptions.flatMap(([name]) => config.get([name]))).toEqual(
      redisOptions.map(([name, value]) => [name, value]),
    );
  });

  it('takes globs, several patterns, any letter case, and lists each name once', () => {
    const config = Config.fromSources();
    expect(config.get(['hash-max-ziplist-*', 'nothing', 'hash-max-ziplist-value', 'Timeout', 'TIMEOUT'])).toEqual([
      ['hash-max-ziplist-entries', '512'],
      ['hash-max-ziplist-value', '64'],
      ['Timeout', '0'],
    ]);
    expect(config.get(['MAXMEMORY-S*'])).toEqual([['maxmemory-samples', '5']]);
    expect(config.get(['databases'])).toEqual([['databases', '16']]);
  });

  it('keeps hidden options out of patterns, not from who asks by name', () => {
    const config = Config.fromSources();
    expect(config.get(['*']).map(([name]) => name)).not.toContain('key-load-delay');
    expect(config.get(['key-load-delay'])).toEqual([['key-load-delay', '0']]);
  });

  it('shows requirepass as Redis does, and masks the secrets of ours', () => {
    const config = Config.fromSources({
      settings: { requirepass: 'open', 'cluster-secret': 'hush-hush-hush', mysql: 'mysql://me:hush@h/d' },
    });
    expect(values(config, 'requirepass', 'cluster-secret', 'mysql')).toEqual([
      'open',
      '********',
      'mysql://me:********@h/d',
    ]);
    expect(values(Config.fromSources(), 'cluster-secret', 'mysql')).toEqual(['', '']);
  });
});

describe('CONFIG SET', () => {
  // Redis loads TLS files and binds ports at run time; here these are chosen at start.
  const atStart = /^(port|bind|tls-.*)$/;
  const answered = redisOptions.filter(([name]) => !atStart.test(name));

  it.each(answered)('%s refuses as Redis does', (name, _, answer) => {
    const reply = Config.fromSources().set([name, 'zzz']);
    expect(reply ?? 'OK').toBe(
      answer === 'OK' ? 'OK' : `ERR CONFIG SET failed (possibly related to argument '${name}') - ${answer}`,
    );
  });

  it('sets several at once', () => {
    const config = Config.fromSources();
    expect(config.set(['TIMEOUT', '5', 'maxmemory', '10mb', 'save', '3000 5'])).toBeNull();
    expect(config.values).toMatchObject({ timeout: 5000, maxmemory: 10485760 });
    expect(values(config, 'save')).toEqual(['3000 5']);
    expect(config.set(['save', '60 1'])).toBeNull();
    expect(values(config, 'save')).toEqual(['60 1']);
  });

  it('adds to client-output-buffer-limit', () => {
    const config = Config.fromSources();
    expect(config.set(['client-output-buffer-limit', 'normal 1 2 3'])).toBeNull();
    expect(config.set(['client-output-buffer-limit', 'slave 0 0 0'])).toBeNull();
    expect(values(config, 'client-output-buffer-limit')).toEqual([
      'normal 1 2 3 slave 0 0 0 pubsub 33554432 8388608 60',
    ]);
  });

  it('changes nothing when one of several is wrong', () => {
    const config = Config.fromSources();
    const reply = config.set([
      'maxmemory',
      '10000001',
      'maxmemory-clients',
      '200%',
      'client-query-buffer-limit',
      'invalid',
    ]);
    expect(reply).toBe(
      "ERR CONFIG SET failed (possibly related to argument 'maxmemory-clients') - percentage argument must be less or equal to 100",
    );
    expect(values(config, 'maxmemory')).toEqual(['0']);
  });

  it.each([
    [['foo', 'bar'], "ERR Unknown option or number of arguments for CONFIG SET - 'foo'"],
    [['timeout', '1', 'Foo', '2'], "ERR Unknown option or number of arguments for CONFIG SET - 'Foo'"],
    [
      ['timeout', '1', 'TIMEOUT', '2'],
      "ERR CONFIG SET failed (possibly related to argument 'timeout') - duplicate parameter",
    ],
    [
      ['databases', '16'],
      "ERR CONFIG SET failed (possibly related to argument 'databases') - can't set immutable config",
    ],
    [['port', '7'], "ERR CONFIG SET failed (possibly related to argument 'port') - can't set immutable config"],
    [
      ['port', 'x'],
      "ERR CONFIG SET failed (possibly related to argument 'port') - argument couldn't be parsed into an integer",
    ],
    [['dir', '/'], "ERR CONFIG SET failed (possibly related to argument 'dir') - can't set protected config"],
    [
      ['cluster-secret', 'another-one'],
      "ERR CONFIG SET failed (possibly related to argument 'cluster-secret') - can't set protected config",
    ],
    [['timeout', '1', 'hz'], 'ERR syntax error'],
  ])('%j answers %j', (words, reply) => {
    expect(Config.fromSources().set(words)).toBe(reply);
  });

  it('takes an alias and the first name together, the later winning', () => {
    const config = Config.fromSources();
    expect(config.set(['hash-max-ziplist-entries', '1', 'hash-max-listpack-entries', '2'])).toBeNull();
    expect(values(config, 'hash-max-*-entries')).toEqual(['2', '2']);
  });

  it('lets protected options change for everybody, for local clients, or for nobody', () => {
    const open = Config.fromSources({ settings: { 'enable-protected-configs': 'yes' } });
    const local = Config.fromSources({ settings: { 'enable-protected-configs': 'local' } });
    expect(open.set(['dbfilename', 'x'], { local: false })).toBeNull();
    expect(local.set(['dbfilename', 'x'], { local: true })).toBeNull();
    expect(local.set(['dbfilename', 'y'], { local: false })).toContain("can't set protected config");
    expect(values(local, 'dbfilename')).toEqual(['x']);
  });

  it('takes back everything that CONFIG GET shows, but for what Redis calls immutable or protected', () => {
    const config = Config.fromSources({
      settings: {
        'cluster-secret': 'hush-hush-hush',
        mysql: 'mysql://me:hush@h/d',
        peers: 'a:1',
        'tls-key-file-pass': 'x',
      },
    });
    const before = config.values['cluster-secret'];
    const refused = config.get(['*']).filter(([name, value]) => config.set([name, value]) !== null);
    const inRedis = new Map(redisOptions.map(([name, , answer]) => [name, answer]));
    inRedis.set('dir', "can't set protected config");
    for (const [name] of refused)
      expect([name, inRedis.get(name)]).toEqual([name, expect.stringMatching(/immutable|protected/)]);
    expect(config.values['cluster-secret']).toEqual(before);
    expect(config.values.mysql).toBe('mysql://me:hush@h/d');
  });

  it('refuses what other options rule out', () => {
    const config = Config.fromSources({
      settings: { bind: '0.0.0.0', 'cluster-secret': 'hush-hush-hush', 'enable-protected-configs': 'yes' },
    });
    expect(config.set(['cluster-secret', 'one-secret-now two-secrets-now'])).toBeNull();
    expect(config.values['cluster-secret']).toEqual(['one-secret-now', 'two-secrets-now']);
    const strict = Config.fromSources({
      settings: { 'peer-bind': '0.0.0.0', 'cluster-secret': 'hush-hush-hush', 'enable-protected-configs': 'yes' },
    });
    expect(strict.set(['cluster-secret', ''])).toContain("needs a 'cluster-secret'");
    expect(strict.values['cluster-secret']).toEqual(['hush-hush-hush']);
  });
});

describe('listeners', () => {
  it('hear of changes, with the value before, until they leave', () => {
    const config = Config.fromSources();
    const heard: [number, number][] = [];
    const leave = config.onChange('maxmemory', (value, previous) => heard.push([value, previous]));
    config.set(['maxmemory', '5']);
    config.set(['maxmemory', '5']);
    config.set(['maxmemory', '6', 'timeout', 'x']);
    leave();
    config.set(['maxmemory', '7']);
    expect(heard).toEqual([[5, 0]]);
  });

  it('can refuse, which undoes everything and tells those who heard', () => {
    const config = Config.fromSources();
    const heard: number[] = [];
    config.onChange('maxmemory', (value) => heard.push(value));
    config.onChange('maxclients', () => {
      throw new ValueError('the system is full');
    });
    expect(config.set(['maxmemory', '5', 'maxclients', '6', 'hz', '20'])).toBe(
      "ERR CONFIG SET failed (possibly related to argument 'maxclients') - the system is full",
    );
    expect(heard).toEqual([5, 0]);
    expect(config.values).toMatchObject({ maxmemory: 0, maxclients: 10000, hz: 10 });
  });
});
