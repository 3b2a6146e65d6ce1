import { describe, expect, it } from '@jest/globals';
import { allCommands } from '../../../server/commands/all.ts';
import { MemoryGuard } from '../../../server/memory/memory-guard.ts';
import { CommandHarness } from '../../support/command-harness.ts';
import { shareComparison, type Request } from '../../support/comparison.ts';

const comparison = shareComparison(allCommands);

/** EVAL of each script, without keys. */
function evals(...scripts: string[]): Request[] {
  return scripts.map((script) => ['EVAL', script, 0]);
}

describe('scripts answer as redis-server does', () => {
  it('in values', () =>
    comparison().check([
      ...evals(
        'return 1',
        "return 'text'",
        'return 3.99',
        'return -3.99',
        'return 1e30',
        'return 0/0',
        'return 2^62',
        'return -0',
        'return true',
        'return false',
        'return nil',
        'return',
        'return {}',
        'return {1,2,{3,"a",{}},"b"}',
        'return {1,nil,3}',
        'return {true,false,1}',
        "return {ok='fine'}",
        "return {err='ERR of mine'}",
        "return {err='My Error'}",
        "return {err='ERR both', ok='fine'}",
        'return {ok=5}',
        'return function() end',
        'return {1,function() end,3}',
        'return {double=3.25}',
        'return {map={a=1}}',
        'return {set={a=true}}',
        "return {big_number='123'}",
        "return {big_number='12\\r\\n3'}",
        "return {verbatim_string={format='txt',string='abc'}}",
        "return setmetatable({}, {__index=function() return 'x' end})",
        'return setmetatable({1,2}, {})',
        'return cjson.null',
        'return 1, 2',
        'local t = {} for i = 1, 500 do t = {t} end return t',
        'return #tostring({}) > 5',
      ),
      ['EVAL', 'return {KEYS, ARGV, #KEYS, #ARGV}', 2, 'a', 'b', 'c', Buffer.from([0, 255, 10])],
      ['EVAL', 'return ARGV[1]', 0, Buffer.from([0, 1, 2, 255])],
    ]));

  it('in what commands reply to a script', () =>
    comparison().check([
      ['SET', 'word', 'bar'],
      ['RPUSH', 'list', 'a', 'b', 'c'],
      ['HSET', 'hash', 'f', 'v'],
      ['ZADD', 'scores', '1.5', 'm'],
      ['SADD', 'members', 'x'],
      ['SET', 'large', '9007199254740993'],
      ...evals(
        "return redis.call('get', 'word')",
        "return redis.call('get', 'none')",
        "return redis.call('get', 'none') == false",
        "return type(redis.call('get', 'none'))",
        "return redis.call('set', 'other', 'x')",
        "return redis.call('set', 'other', 'x').ok",
        "return redis.call('lrange', 'list', 0, -1)",
        "return redis.call('mget', 'word', 'none', 'other')",
        "return #redis.call('mget', 'word', 'none', 'other')",
        "return redis.call('hgetall', 'hash')",
        "return redis.call('zrange', 'scores', 0, -1, 'withscores')",
        "return redis.call('zscore', 'scores', 'm')",
        "return redis.call('type', 'list').ok",
        "return redis.call('incrby', 'counter', 2)",
        "return redis.call('incr', 'large')",
        "return redis.call('ping')",
        "return redis.pcall('ping').ok",
        "return redis.call('exists', 'word', 'none')",
        "return {redis.call('select', 3), redis.call('set', 'there', 'v')}",
        "redis.setresp(3) return redis.call('hgetall', 'hash')",
        "redis.setresp(3) return redis.call('hgetall', 'hash').map.f",
        "redis.setresp(3) return redis.call('smembers', 'members').set.x",
        "redis.setresp(3) return redis.call('zscore', 'scores', 'm').double",
        "redis.setresp(3) return type(redis.call('get', 'none'))",
        'redis.setresp(3) return true',
        'redis.setresp(3) return false',
        'redis.setresp(3) redis.setresp(2) return true',
        "redis.setresp(3) return redis.call('info', 'nothing')",
        "redis.setresp(3) return redis.call('zrange', 'scores', 0, -1, 'withscores')[1][2].double",
        "return redis.call('time')[1] == redis.call('time')[1]",
      ),
      ['SELECT', 3],
      ['GET', 'there'],
    ]));

  it('to a client that speaks RESP3', () =>
    comparison().check([
      ['HELLO', '4'],
      ...evals('return 1'),
      ...evals('return true', 'return false', 'return nil', 'return {double=3.25}', 'return {map={a=1}}'),
      ...evals("return {big_number='123'}", 'redis.setresp(3) return true', 'redis.setresp(3) return {1,false}'),
    ]));

  it('in the errors of commands', () =>
    comparison().check([
      ['SET', 'word', 'bar'],
      ...evals(
        "return redis.call('incr', 'word')",
        "return redis.pcall('incr', 'word')",
        "return redis.pcall('incr', 'word').err",
        "return {pcall(redis.call, 'incr', 'word')}",
        "local _, e = pcall(redis.call, 'incr', 'word') return type(e)",
        "local a = 1\nlocal function b()\nreturn redis.call('incr', 'word') end\nb() return 1",
        "redis.call('incr', 'word')",
        "return redis.call('lpush', 'word', 'x')",
        'return redis.call()',
        'return redis.pcall()',
        "return redis.call('nosuch')",
        "return redis.pcall('nosuch')",
        "return redis.call('client', 'nosuch')",
        "return redis.call('get')",
        "return redis.call('get', {})",
        "return redis.pcall('get', true)",
        "return redis.call('get', nil)",
        "return redis.call('eval', 'return 1', 0)",
        "return redis.call('client', 'list')",
        "return redis.call('config', 'get', 'x')",
        "return redis.call('multi')",
        "return redis.call('watch', 'x')",
        "return redis.pcall('auth', 'x')",
      ),
    ]));

  it('in the errors of Lua', () =>
    comparison().check(
      evals(
        'return foo',
        'foo = 1',
        'local a = 1\n\nreturn foo',
        "error('text')",
        "error('text', 0)",
        "error({err='abc'})",
        "error({err='ERR abc'})",
        'return ]',
        'return "unfinished',
        'local a = {}\nreturn a.b.c',
        "return 'a' .. nil",
        'string.rep()',
        'local function f() return 1 + f() end f()',
        'redis.foo = 1',
        'cjson.foo = 1',
        'string.rep = nil',
        'getmetatable(_G).__index = nil',
        "getmetatable('').__index = nil",
        'return print',
        'return loadfile',
        'return dofile',
        'return setfenv',
        'return getfenv',
        'return newproxy',
        'return require',
        'return io',
        'return debug',
        'return package',
        'return {loadstring(string.dump(function() return 1 end))}',
        "return loadstring('return 5')()",
        'return _VERSION',
        'return redis.foo',
        'return {pcall(function() return foo end)}',
        'return {pcall(error, "x", 0)}',
        'return {xpcall(function() error("x") end, function(e) return e .. "!" end)}',
        'return coroutine.wrap(function() coroutine.yield(5) end)()',
        'local t = {} for k in pairs(redis) do t[#t + 1] = k end return redis.call == redis.call and #t > 15',
      ),
    ));

  it('in the members of redis', () =>
    comparison().check(
      evals(
        "return redis.error_reply('foo')",
        "return redis.error_reply('My Err')",
        "return redis.error_reply('-My Err')",
        'return redis.error_reply()',
        'return redis.error_reply(1, 2)',
        "return redis.status_reply('FINE')",
        'return redis.status_reply()',
        "return redis.sha1hex('abc')",
        "return redis.sha1hex('')",
        'redis.sha1hex() return 1',
        "redis.log('a') return 1",
        "redis.log('a', 'b') return 1",
        "return redis.log(redis.LOG_DEBUG, 'b')",
        'redis.setresp() return 1',
        'redis.setresp(4) return 1',
        'redis.set_repl(9) return 1',
        'return redis.set_repl(redis.REPL_ALL)',
        'return redis.replicate_commands()',
        'return redis.breakpoint()',
        "return redis.debug('x')",
        "return redis.acl_check_cmd('get', 'a')",
        "redis.acl_check_cmd('nosuch') return 1",
        'return {redis.REPL_NONE, redis.REPL_AOF, redis.REPL_SLAVE, redis.REPL_REPLICA, redis.REPL_ALL}',
        'return {redis.LOG_DEBUG, redis.LOG_VERBOSE, redis.LOG_NOTICE, redis.LOG_WARNING}',
        'return type(redis.REDIS_VERSION) .. type(redis.REDIS_VERSION_NUM)',
      ),
    ));

  it('in what redis.acl_check_cmd tells of a user who may do little', () =>
    comparison().check([
      ['ACL', 'SETUSER', 'bob', 'on', 'nopass', '+@scripting', '+set', '+config|get', '~x*'],
      ['AUTH', 'bob', 'any'],
      ...evals(
        "return redis.acl_check_cmd('set', 'xx', 1)",
        "return redis.acl_check_cmd('set', 'yy', 1)",
        "return {redis.acl_check_cmd('get', 'xx')}",
        "return redis.acl_check_cmd('set')",
        "return redis.acl_check_cmd('config', 'get', 'port')",
        "return redis.acl_check_cmd('config', 'set', 'port', 1)",
        "redis.acl_check_cmd('config', 'nosuch') return 1",
        "return redis.acl_check_cmd('eval', 'x', 5, 'a')",
        'redis.acl_check_cmd({}) return 1',
      ),
      ['AUTH', 'default', 'any'],
      ['ACL', 'DELUSER', 'bob'],
    ]));

  it('in the libraries that come with it', () =>
    comparison().check(
      evals(
        'return cjson.encode({1, 2, {a = 1.5}})',
        'return cjson.decode(\'[1,{"a":[2,null]}]\')[2].a[1]',
        "return cjson.decode('{')",
        'return cjson.encode(0.1 + 0.2)',
        "return cmsgpack.pack({1, 'a', {x = 2}})",
        "return cmsgpack.unpack(cmsgpack.pack({1, 'a', 3.5}))",
        "return struct.pack('>I4HB', 1, 2, 3)",
        "return {struct.unpack('>I2', 'ab')}",
        // Integers of eight bytes, which a long has in Redis and not in WebAssembly.
        ...['l', '<L', '>l', 'T', '<i8', '>I8', 'i5', '>i7', 'I6', '!bl', '!4b>lh', '>I16', 'i4', '>I2', 'B'].flatMap(
          (form) => [
            `return struct.size('${form}')`,
            ...[
              '0',
              '-1',
              '-2',
              '258',
              '-1.9',
              '2^31',
              '2^40 + 3',
              '-2^40',
              '2^53 - 1',
              '-2^63',
              '2^63',
              '2^64',
              '1/0',
              '0/0',
            ].map((number) => `return struct.pack('${form}', ${number}, ${number}, 5)`),
            ...['\\1\\2\\3\\4\\5\\6\\7\\8', '\\255\\254\\253\\252\\251\\250\\249\\248'].map(
              (bytes) =>
                `local t = {struct.unpack('${form}', string.rep('${bytes}', 3), 2)} for i = 1, #t do t[i] = string.format('%.17g', t[i]) end return t`,
            ),
          ],
        ),
        "return {struct.unpack('lc0L', struct.pack('lc0L', 3, 'abc', 2^40))}",
        "local text = struct.pack('l', 'x') return text",
        "local text = struct.pack('bl', 1, {}) return text",
        "local size = struct.size('ls') return size",
        "local number = struct.unpack('l', '1234567') return number",
        "local number = struct.unpack('c0l', '12345678') return number",
        "local number = struct.unpack('l', '123456789', 0) return number",
        "local text = struct.pack('>I2', 'x') return text",
        'return {bit.band(7, 3), bit.bor(8, 1), bit.bxor(5, 1), bit.lshift(1, 5), bit.tohex(255)}',
        "return string.format('%5.2f|%s|%d|%x', 3.14159, 'a', 42, 255)",
        'return tostring(10/3) .. tostring(1e15) .. tostring(2^53)',
        "return {string.find('hello', 'l+')}",
        "return (string.gsub('hello', 'l', {l = 'L'}))",
        'return table.concat({1, 2, 3}, ",")',
        'local t = {3, 1, 2} table.sort(t) return t',
        'return {math.floor(2.5), math.max(1, 9), math.huge > 1}',
        'return select("#", unpack({1, 2, 3}))',
        "return tonumber('0x10') + tonumber('1e2')",
      ),
    ));

  it('in how numbers become words of commands', () =>
    comparison().check([
      ...evals(
        "redis.call('set', 'n', 10/3) return redis.call('get', 'n')",
        "redis.call('set', 'n', 42) return redis.call('get', 'n')",
        "redis.call('set', 'n', -7) return redis.call('get', 'n')",
        "redis.call('set', 'n', 1e10) return redis.call('get', 'n')",
        "redis.call('set', 'n', 1e15) return redis.call('get', 'n')",
        "redis.call('set', 'n', 2^53) return redis.call('get', 'n')",
        "redis.call('set', 'n', 1e20) return redis.call('get', 'n')",
        "redis.call('set', 'n', 0.5) return redis.call('get', 'n')",
        "return redis.call('expire', 'n', 100)",
      ),
    ]));

  it('in what their first line says', () =>
    comparison().check([
      ...evals(
        "#!lua flags=no-writes\nreturn redis.call('set', 'a', 'b')",
        "#!lua\nreturn redis.call('set', 'a', 'b')",
        '#!lua flags=allow-oom,no-cluster\nreturn 1',
        '#!lua flags=\nreturn 1',
        '#!lua flags=bad\nreturn 1',
        '#!lua name=x\nreturn 1',
        '#!python\nreturn 1',
        '#!lua',
        '#!lua flags=no-writes x=1\nreturn 1',
        '#!lua\n\nreturn foo',
      ),
      ['EVAL_RO', "return redis.call('set', 'a', 'b')", 0],
      ['EVAL_RO', "return redis.call('get', 'a')", 0],
      ['EVAL_RO', '#!lua\nreturn 1', 0],
      ['EVAL_RO', '#!lua flags=no-writes\nreturn 1', 0],
    ]));

  it('in the arguments of EVAL, EVALSHA and SCRIPT', () =>
    comparison().check([
      ['EVAL', 'return 1', 'a'],
      ['EVAL', 'return 1', -1],
      ['EVAL', 'return 1', 3, 'a'],
      ['EVAL', 'return 1'],
      ['EVALSHA', '0'.repeat(40), 0],
      ['EVALSHA', 'xx', 0],
      ['EVALSHA_RO', '0'.repeat(40), 0],
      ['SCRIPT', 'KILL'],
      ['SCRIPT', 'EXISTS'],
      ['SCRIPT', 'LOAD', 'return ]'],
      ['SCRIPT', 'LOAD', 'return 1000'],
      ['SCRIPT', 'LOAD', 'return redis.call("set", KEYS[1], ARGV[1])'],
      ['EVALSHA', '9DF2D1F5F5FFD1EF0D0A8E3C8DE7E5A9C9E5C2E5', 0],
      ['EVALSHA', '2fa2b029f72572e803ff55a09b1282699aecae6a', 1, 'k', 'v'],
      ['SCRIPT', 'EXISTS', '2fa2b029f72572e803ff55a09b1282699aecae6a', 'x'],
      ['SCRIPT', 'FLUSH', 'xx'],
      ['SCRIPT', 'FLUSH', 'SYNC', 'x'],
      ['SCRIPT', 'FLUSH', 'SYNC'],
      ['SCRIPT', 'FLUSH', 'ASYNC'],
      ['SCRIPT', 'EXISTS', '2fa2b029f72572e803ff55a09b1282699aecae6a'],
      ['SCRIPT', 'NOSUCH'],
      ...evals('return 77'),
      ['EVALSHA', 'd8f2fad9f8e86a53d2a6ebd960b33c4972cacc37', 0],
      ['MULTI'],
      ...evals("return redis.call('incr', 'x')", 'return foo'),
      ['EXEC'],
      ['GET', 'x'],
    ]));

  it('when memory is used up', () =>
    comparison().check(
      [
        ['SET', 'some', 'x'],
        ['CONFIG', 'SET', 'maxmemory', '1'],
        ...evals(
          "return redis.call('set', 'x', 1)",
          "return redis.call('get', 'x')",
          "#!lua\nreturn redis.call('get', 'x')",
          "#!lua flags=no-writes\nreturn redis.call('get', 'x')",
          "#!lua flags=allow-oom\nreturn redis.call('set', 'x', 1)",
          "redis.call('del', 'x') return redis.call('set', 'x', 1)",
        ),
        ['CONFIG', 'SET', 'maxmemory', '0'],
      ],
      {
        prepare: (harness) => {
          harness.dispatcher.memory = new MemoryGuard(harness.node, setImmediate);
        },
      },
    ));
});

describe('a script', () => {
  const run = (harness: CommandHarness, script: string, ...args: string[]): string =>
    harness.run('EVAL', script, 0, ...args).toString('latin1');

  it('that never ends is stopped, what it has written stays, and others run as before', () => {
    let nowMs = 0;
    const harness = new CommandHarness(allCommands, { monotonicMs: () => (nowMs += 10) });
    expect(run(harness, 'while true do end')).toBe(
      '-ERR the script was stopped after 5000 ms, its limit by busy-reply-threshold\r\n',
    );
    expect(run(harness, "redis.call('set', 'k', 'v') while true do pcall(function() while true do end end) end")).toBe(
      '-ERR the script was stopped after 5000 ms, its limit by busy-reply-threshold; what it has written stays\r\n',
    );
    expect(run(harness, 'coroutine.wrap(function() while true do end end)()')).toContain('stopped');
    expect(harness.run('GET', 'k').toString()).toBe('$1\r\nv\r\n');
    expect(run(harness, "return redis.call('get', 'k')")).toBe('$1\r\nv\r\n');
    expect(harness.run('SCRIPT', 'KILL').toString()).toContain('NOTBUSY');
  });

  it.each([
    ['one string of 1 GB', "return string.rep('x', 1024 * 1024 * 1024)", 'not enough memory'],
    ['a string doubled for ever', "local s = 'x' while true do s = s .. s end", 'not enough memory'],
    ['a table that grows for ever', 'local t = {} while true do t[#t + 1] = {} end', 'not enough memory'],
    ['recursion', 'local function f() return 1 + f() end return f()', 'stack overflow'],
    [
      'recursion through C',
      "local function f() return (string.gsub('a', 'a', function() return f() end)) end return f()",
      'stack overflow',
    ],
    ['nested coroutines', 'local function f() coroutine.wrap(f)() end f()', 'C stack overflow'],
    ['a pattern of 100,000 choices', "return string.find(('a'):rep(100000), ('a?'):rep(100000))", 'stack overflow'],
    ['a reply nested 100,000 deep', 'local t = {} for i = 1, 100000 do t = {t} end return t', 'stack limit'],
    ['a reply that contains itself', 'local t = {} t[1] = t return t', 'stack limit'],
    ['JSON nested 100,000 deep', "return cjson.decode(('['):rep(100000))", 'nested'],
    [
      'JSON of a table nested 100,000 deep',
      'cjson.encode_max_depth(1000000) local t = {} for i = 1, 100000 do t = {t} end return cjson.encode(t)',
      'nesting',
    ],
    ['MessagePack nested 100,000 deep', "return cmsgpack.unpack(('\\145'):rep(100000))", 'stack overflow'],
    ['an unlimited unpack', 'return unpack({}, 1, 1e8)', 'too many results'],
  ])('is refused %s', (_name, script, message) => {
    // Its limit of time is not what stops it, however slow the machine is.
    const harness = new CommandHarness(allCommands, { monotonicMs: () => 0 });
    harness.run('SET', 'k', 'v');
    const reply = run(harness, script);
    expect(reply.startsWith('-ERR ')).toBe(true);
    expect(reply).toContain(message);
    expect(run(harness, "return redis.call('get', 'k')")).toBe('$1\r\nv\r\n');
  });

  it('may have arguments and replies of megabytes, but not of more than Lua has memory', () => {
    const harness = new CommandHarness(allCommands);
    const large = Buffer.alloc(4 << 20, 'x');
    expect(harness.run('EVAL', 'return #ARGV[1]', 0, large).toString()).toBe(`:${large.length}\r\n`);
    expect(harness.run('EVAL', 'return ARGV[1]', 0, large).length).toBeGreaterThan(large.length);
    const tooLarge = Buffer.alloc(70 << 20, 'x');
    expect(harness.run('EVAL', 'return #ARGV[1]', 0, tooLarge).toString()).toContain('not enough memory');
    harness.run('SET', 'large', tooLarge);
    expect(run(harness, "return redis.call('strlen', 'large')")).toBe(`:${tooLarge.length}\r\n`);
    expect(run(harness, "return redis.call('get', 'large')")).toMatch(/^-ERR /);
    expect(run(harness, 'return 1')).toBe(':1\r\n');
  });

  it('sees commands that wait answer at once', () => {
    const harness = new CommandHarness(allCommands);
    expect(run(harness, "return redis.call('blpop', 'none', 0)")).toBe('*-1\r\n'.replace('*', '$'));
    expect(run(harness, "redis.call('rpush', 'l', 'a') return redis.call('blpop', 'l', 0)")).toBe(
      '*2\r\n$1\r\nl\r\n$1\r\na\r\n',
    );
    expect(run(harness, "return redis.call('xread', 'block', 0, 'streams', 's', '$')")).toBe('$-1\r\n');
  });

  it('passes numbers by their fewest digits, as Redis does since 7.2', () => {
    const harness = new CommandHarness(allCommands);
    const words = ['0.1', '1e-7', '123456.789', '-0.001', '1e25', '2^62', '2^63'];
    const script = `local t = {} for _, n in ipairs({${words.join(', ')}}) do
      t[#t + 1] = redis.call('echo', n) end return table.concat(t, ' ')`;
    expect(run(harness, script)).toContain('0.1 1e-7 123456.789 -0.001 1e+25 4611686018427387904 9223372036854776000');
  });

  it('wakes those that wait, and breaks a watch', () => {
    const harness = new CommandHarness(allCommands);
    const waiting = harness.connect();
    expect(waiting.run('BLPOP', 'queue', 0).toString()).toBe('');
    run(harness, "redis.call('rpush', 'queue', 'a')");
    expect(waiting.transport.take().toString()).toBe('*2\r\n$5\r\nqueue\r\n$1\r\na\r\n');
  });

  it('is known by its SHA-1 until SCRIPT FLUSH, and is compiled anew after Lua had to begin anew', () => {
    let nowMs = 0;
    const harness = new CommandHarness(allCommands, { monotonicMs: () => (nowMs += 10) });
    const sha = harness.run('SCRIPT', 'LOAD', 'return ARGV[1]').toString().split('\r\n')[1];
    expect(harness.run('EVALSHA', sha, 0, 'a').toString()).toBe('$1\r\na\r\n');
    expect(run(harness, 'while true do end')).toContain('stopped');
    expect(harness.run('EVALSHA', sha, 0, 'b').toString()).toBe('$1\r\nb\r\n');
    harness.run('SCRIPT', 'FLUSH');
    expect(harness.run('EVALSHA', sha, 0, 'c').toString()).toBe('-NOSCRIPT No matching script. Please use EVAL.\r\n');
  });

  it('is shown as it was sent, by SCRIPT SHOW', () => {
    const harness = new CommandHarness(allCommands);
    for (const text of ["return 'dump'", '#!lua flags=no-writes\nreturn 1']) {
      const sha = harness.run('SCRIPT', 'LOAD', text).toString().split('\r\n')[1];
      expect(harness.run('SCRIPT', 'SHOW', sha.toUpperCase()).toString()).toBe(`$${text.length}\r\n${text}\r\n`);
    }
    expect(harness.run('SCRIPT', 'SHOW', 'a'.repeat(40)).toString()).toContain('-NOSCRIPT ');
    expect(harness.run('SCRIPT', 'SHOW', 'a').toString()).toContain('-NOSCRIPT ');
  });

  it('may be one of thousands, of which Lua holds only some compiled', () => {
    const harness = new CommandHarness(allCommands);
    for (let number = 0; number < 5000; number++) {
      expect(run(harness, `local text = '${'x'.repeat(1000)}' return ${number}`)).toBe(`:${number}\r\n`);
    }
    expect(run(harness, `local text = '${'x'.repeat(1000)}' return 0`)).toBe(':0\r\n');
    expect(harness.node.scripting.cache.size).toBe(5000);
  });

  it('uses evicted keys only when it has named them, and they were read back before it began', () => {
    const harness = new CommandHarness(allCommands);
    const { keyspace } = harness;
    run(harness, 'return 1');
    keyspace.readsThrough = true;
    const key = Buffer.from('gone');
    keyspace.databases[0].evicted.add(keyspace.hasher.hash(key, 0, key.length), false);
    expect(run(harness, "return redis.call('get', 'gone')")).toContain('did not name in KEYS');
    expect(run(harness, "return redis.call('get', 'other')")).toBe('$-1\r\n');
    expect(harness.run('EVAL', "return redis.call('get', 'gone')", 1, 'gone').toString()).toBe('$-1\r\n');
    expect(run(harness, "return redis.call('set', 'gone', 'again')")).toBe('+OK\r\n');
  });

  it('has a clock in os, and nothing else there', () => {
    let monotonicMs = 1500;
    const harness = new CommandHarness(allCommands, { monotonicMs: () => (monotonicMs += 0.5) });
    expect(run(harness, 'local began = os.clock() while os.clock() - began < 2 do end return 1')).toBe(':1\r\n');
    expect(monotonicMs).toBeGreaterThan(3500);
    expect(run(harness, 'local names = {} for name in pairs(os) do names[#names + 1] = name end return names')).toBe(
      '*1\r\n$5\r\nclock\r\n',
    );
    expect(run(harness, 'os.clock = nil return 1')).toContain('Attempt to modify a readonly table');
    expect(run(harness, 'return os.exit()')).toContain("attempt to call field 'exit'");
  });

  it('is not debugged', () => {
    const harness = new CommandHarness(allCommands);
    expect(harness.run('SCRIPT', 'DEBUG', 'NO').toString()).toBe('+OK\r\n');
    expect(harness.run('SCRIPT', 'DEBUG', 'YES').toString()).toContain('no debugger');
    expect(harness.run('SCRIPT', 'DEBUG', 'xx').toString()).toBe('-ERR Use SCRIPT DEBUG YES/SYNC/NO\r\n');
  });

  it('cannot reach what runs it, nor another script', () => {
    const harness = new CommandHarness(allCommands);
    expect(run(harness, 'return {pcall(getmetatable(_G).__index, _G, "mantis_run")}')).toContain('nonexistent');
    expect(run(harness, "ARGV[1] = 'x' ARGV[2] = 'c1' return mantis_run()")).toContain('nonexistent');
    expect(run(harness, 'rawset(_G, "x", 1) return x')).toContain('readonly');
  });

  it('leaves its caller in its database, its protocol and its transaction', () => {
    const harness = new CommandHarness(allCommands);
    run(harness, "redis.call('select', 5) redis.setresp(3) redis.call('set', 'k', 'v')");
    expect(harness.run('GET', 'k').toString()).toBe('$-1\r\n');
    expect(run(harness, 'return true')).toBe(':1\r\n');
  });
});
