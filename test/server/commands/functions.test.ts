import { describe, expect, it } from '@jest/globals';
import { allCommands } from '../../../server/commands/all.ts';
import { CommandHarness } from '../../support/command-harness.ts';
import { shareComparison, type Request } from '../../support/comparison.ts';

const comparison = shareComparison(allCommands);

const FLUSH: { prepareRedis: readonly Request[] } = { prepareRedis: [['FUNCTION', 'FLUSH']] };

const LIBRARY = `#!lua name=mylib
local function f(keys, args) return {keys, args, redis.call('ping')} end
redis.register_function('f', f)
redis.register_function{function_name='w', callback=function(keys) return redis.call('set', keys[1], 1) end}`;

const READER = `#!lua name=reader
redis.register_function{function_name='g', callback=function() return foo end, flags={'no-writes'}, description='reads'}`;

/** FUNCTION LOAD REPLACE of a library of this body. */
function loads(...bodies: string[]): Request[] {
  return bodies.map((body) => ['FUNCTION', 'LOAD', 'REPLACE', `#!lua name=a\n${body}`]);
}

describe('functions answer as redis-server does', () => {
  it('when they are loaded', () =>
    comparison().check(
      [
        ['FUNCTION', 'LOAD', 'x'],
        ['FUNCTION', 'LOAD', '#!lua'],
        ['FUNCTION', 'LOAD', '#!foo name=a\nx'],
        ['FUNCTION', 'LOAD', '#!lua\nx'],
        ['FUNCTION', 'LOAD', '#!lua name=a b=c\nx'],
        ['FUNCTION', 'LOAD', '#!lua name=a name=b\nx'],
        ['FUNCTION', 'LOAD', '#!lua name=a-b\nx'],
        ['FUNCTION', 'LOAD', 'foo', 'bar'],
        ...loads(
          'x',
          'foo()',
          'return 1',
          "\nredis.call('get', 'x')",
          'redis.register_function()',
          "redis.register_function('f')",
          "redis.register_function('f', 1)",
          "redis.register_function('f-g', function() end)",
          "redis.register_function('f', function() end)\nredis.register_function('f', function() end)",
          "redis.register_function{function_name='f'}",
          'redis.register_function{callback=function() end}',
          "redis.register_function{function_name='f', callback=function() end, flags=1}",
          "redis.register_function{function_name='f', callback=function() end, flags={'x'}}",
          "redis.register_function{function_name='f', callback=function() end, x=1}",
          "redis.register_function{function_name='f', callback=1}",
          'redis.register_function(1, 2, 3)',
          'redis.register_function(1, function() end)',
        ),
        ['FUNCTION', 'LOAD', LIBRARY],
        ['FUNCTION', 'LOAD', LIBRARY],
        ['FUNCTION', 'LOAD', 'REPLACE', LIBRARY],
        ['FUNCTION', 'LOAD', "#!lua name=b\nredis.register_function('f', function() end)"],
        ['FUNCTION', 'DELETE', 'b'],
        ['FUNCTION', 'DELETE', 'a'],
        ['FUNCTION', 'STATS'],
      ],
      FLUSH,
    ));

  it('when they are called', () =>
    comparison().check(
      [
        ['FUNCTION', 'LOAD', LIBRARY],
        ['FUNCTION', 'LOAD', READER],
        ['FCALL', 'f', 1, 'k', 'a'],
        ['FCALL', 'nosuch', 0],
        ['FCALL', 'f', 'x'],
        ['FCALL', 'f', -1],
        ['FCALL', 'f', 5],
        ['FCALL', 'g', 0],
        ['FCALL_RO', 'g', 0],
        ['FCALL_RO', 'w', 1, 'k'],
        ['FCALL', 'w', 1, 'k'],
        ['GET', 'k'],
        ...loads(
          `redis.register_function('a1', function() KEYS = 1 end)
redis.register_function('a2', function() error({err='x'}) end)
redis.register_function('a3', function()
return redis.call('incr', 'word') end)
redis.register_function('a4', function() return redis.register_function('x', function() end) end)`,
        ),
        ['SET', 'word', 'x'],
        ['FCALL', 'a1', 0],
        ['FCALL', 'a2', 0],
        ['FCALL', 'a3', 0],
        ['FCALL', 'a4', 0],
        ['EVAL', 'return redis.register_function', 0],
      ],
      FLUSH,
    ));

  it('when they are listed, dumped and removed', async () => {
    const harness = await comparison().check(
      [
        ['FUNCTION', 'LIST'],
        ['FUNCTION', 'DUMP'],
        ['FUNCTION', 'LOAD', READER],
        ['FUNCTION', 'LIST', 'WITHCODE', 'LIBRARYNAME', 'r*'],
        ['FUNCTION', 'LIST', 'LIBRARYNAME', 'x*'],
        ['FUNCTION', 'LIST', 'LIBRARYNAME'],
        ['FUNCTION', 'LIST', 'foo'],
        ['FUNCTION', 'LIST', 'WITHCODE', 'WITHCODE'],
        ['FUNCTION', 'RESTORE', 'x'],
        ['FUNCTION', 'RESTORE', 'x', 'foo'],
        ['FUNCTION', 'KILL'],
        ['FUNCTION', 'FLUSH', 'x'],
        ['FUNCTION', 'STATS'],
        ['FUNCTION', 'FLUSH', 'SYNC'],
        ['FUNCTION', 'LIST'],
      ],
      FLUSH,
    );
    // Redis may compress what it dumps: each reads what the other has written.
    const [theirs] = await comparison().redisReplies([['FUNCTION', 'LOAD', LIBRARY]]);
    expect(theirs).toBe('$5\r\nmylib\r\n');
    const [dumped] = await comparison().redisReplies([['FUNCTION', 'DUMP']]);
    const payload = Buffer.from(dumped.slice(dumped.indexOf('\r\n') + 2, -2), 'latin1');
    expect(harness.run('FUNCTION', 'RESTORE', payload).toString()).toBe('+OK\r\n');
    expect(harness.run('FCALL', 'f', 0).toString()).toContain('PONG');
    const ours = harness.run('FUNCTION', 'DUMP');
    const back = ours.subarray(ours.indexOf('\r\n') + 2, -2);
    expect(await comparison().redisReplies([['FUNCTION', 'RESTORE', back, 'REPLACE']])).toEqual(['+OK\r\n']);
    expect(harness.run('FUNCTION', 'RESTORE', payload).toString()).toBe('-ERR Library mylib already exists\r\n');
    expect(harness.run('FUNCTION', 'RESTORE', payload, 'REPLACE').toString()).toBe('+OK\r\n');
    expect(harness.run('FUNCTION', 'RESTORE', payload, 'FLUSH').toString()).toBe('+OK\r\n');
  });
});

describe('a function', () => {
  it('that never ends is stopped, and the libraries are there as before', () => {
    let nowMs = 0;
    const harness = new CommandHarness(allCommands, { monotonicMs: () => (nowMs += 10) });
    harness.run('FUNCTION', 'LOAD', LIBRARY);
    harness.run('FUNCTION', 'LOAD', "#!lua name=b\nredis.register_function('loop', function() while true do end end)");
    expect(harness.run('FCALL', 'loop', 0).toString()).toContain('stopped');
    expect(harness.run('FCALL', 'f', 0).toString()).toContain('PONG');
    expect(harness.run('FUNCTION', 'LOAD', '#!lua name=c\nwhile true do end').toString()).toBe(
      '-ERR Error registering functions: ERR FUNCTION LOAD timeout\r\n',
    );
    expect(harness.run('FCALL', 'f', 0).toString()).toContain('PONG');
  });

  it('stays as it was when its library is replaced by one that fails', () => {
    const harness = new CommandHarness(allCommands);
    harness.run('FUNCTION', 'LOAD', LIBRARY);
    expect(harness.run('FUNCTION', 'LOAD', 'REPLACE', '#!lua name=mylib\nfoo()').toString()).toContain('nonexistent');
    expect(harness.run('FCALL', 'f', 0).toString()).toContain('PONG');
  });

  it('may be one of many, up to a bound on their code', () => {
    const harness = new CommandHarness(allCommands);
    const library = (number: number): string =>
      `#!lua name=l${number}\n-- ${'x'.repeat(1 << 20)}\nredis.register_function('f${number}', function() return 1 end)`;
    for (let number = 0; number < 7; number++) {
      expect(harness.run('FUNCTION', 'LOAD', library(number)).toString()).toContain(`l${number}`);
    }
    expect(harness.run('FUNCTION', 'LOAD', library(7)).toString()).toContain('delete one first');
    expect(harness.run('FCALL', 'f3', 0).toString()).toBe(':1\r\n');
  });
});
