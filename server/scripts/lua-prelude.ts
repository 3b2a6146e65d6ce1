/**
 * What is written in Lua: how a script is called, what its errors say, and the members of `redis` that need no host. It runs
 * once in each instance, before globals are locked, and returns the tables that are to be locked with them.
 *
 * `redis.call` and `redis.pcall` stay functions of C: a script's `return redis.call(…)` is then no tail call of Lua's, and
 * the line it stands in is known when it fails.
 */

/** What the prelude tells the host beside results, in place of a log level. */
export const TOPIC = {
  /** The message of an error that was raised as a string. */
  failedText: 100,
  /** The message of an error that was raised as a table. */
  failedMessage: 101,
  /** Where it was raised: `user_script:3`. */
  failedPlace: 102,
  /** A result that the ABI cannot encode, in the ABI's encoding. */
  reply: 103,
  /** A message about to be raised that needs no ERR before it. */
  raise: 104,
  /** A function of a library: its name. */
  functionName: 105,
  functionDescription: 106,
  functionFlag: 107,
} as const;

/** What the prelude asks as a command: whether the caller may run the words that follow. */
export const ACCESS_CHECK = 'mantis|may';
/** The word by which it asks for the time, in microseconds. */
export const CLOCK = 'mantis|clock';

/** Nested tables in a reply; a script that goes deeper gets an error. */
const REPLY_DEPTH_MAX = 1000;

/** Locals of a function that takes much of Lua's stack; it may have 200. */
const FILLER_COUNT = 190;
const FILLERS = Array.from({ length: FILLER_COUNT }, (_, index) => `a${index}`).join(', ');

export const PRELUDE = String.raw`
local redis = redis
local tell, sha1hex, setresp = redis.log, redis.sha1hex, redis.setresp
local ask = redis.pcall
local error, pcall, xpcall, type, select, tostring = error, pcall, xpcall, type, select, tostring
local getmetatable, setmetatable, rawget, loadstring, next = getmetatable, setmetatable, rawget, loadstring, next
local match, find, sub, concat, pack, collect = string.match, string.find, string.sub, table.concat, struct.pack, collectgarbage

local scripts, functions = {}, {}
-- Whether a script runs: what the host calls is out of its reach then.
local busy = false
local collect_above = 8192

-- Errors

-- The place that is so many calls above the caller of the caller, as in "user_script:3: "; nothing for a function of C.
local function place_of(level)
  local _, place = pcall(error, '', level)
  return place
end

local function on_error(fault)
  local place
  for level = 4, 24 do
    local text = match(place_of(level), '^(.*:%d+): $')
    if text and sub(text, 1, 7) ~= 'prelude' then
      place = text
      break
    end
  end
  if type(fault) == 'table' then
    local message = rawget(fault, 'err')
    if type(message) ~= 'string' then message = 'ERR unknown error' end
    tell(101, message)
  else
    tell(100, tostring(fault))
  end
  if place then tell(102, place) end
end

local function raise(message)
  tell(104, message)
  error(message, 0)
end

-- Results

-- Whether a table is encoded right as it is: no metatables, not deep, nothing in it that has no reply.
local function is_simple(value, depth)
  if depth > 6 or getmetatable(value) ~= nil then return false end
  local err, ok = value.err, value.ok
  if err ~= nil or ok ~= nil then
    return (err == nil or type(err) == 'string') and (ok == nil or type(ok) == 'string')
  end
  if value.map ~= nil or value.set ~= nil or value.double ~= nil then return false end
  if value.big_number ~= nil or value.verbatim_string ~= nil then return false end
  local index = 1
  local item = value[1]
  while item ~= nil do
    local kind = type(item)
    if kind == 'table' then
      if not is_simple(item, depth + 1) then return false end
    elseif kind ~= 'string' and kind ~= 'number' and kind ~= 'boolean' then
      return false
    end
    index = index + 1
    item = value[index]
  end
  return true
end

local resp = 2
local spell

local function spell_pairs(out, map, with_values, depth)
  local at = #out + 1
  local count = 0
  out[at] = ''
  for key, value in next, map do
    spell(out, key, depth)
    if with_values then spell(out, value, depth) end
    count = count + 1
  end
  out[at] = pack('<I1I4', with_values and 9 or 10, count)
end

local function spell_table(out, value, depth)
  if depth > ${String(REPLY_DEPTH_MAX)} then raise('ERR reached lua stack limit') end
  local err, ok, double = rawget(value, 'err'), rawget(value, 'ok'), rawget(value, 'double')
  local map, set, big, verbatim = rawget(value, 'map'), rawget(value, 'set'), rawget(value, 'big_number'), rawget(value, 'verbatim_string')
  if type(err) == 'string' then out[#out + 1] = pack('<I1I4', 5, #err) .. err
  elseif type(ok) == 'string' then out[#out + 1] = pack('<I1I4', 4, #ok) .. ok
  elseif type(double) == 'number' then out[#out + 1] = pack('<I1I4d', 8, 8, double)
  elseif type(map) == 'table' then spell_pairs(out, map, true, depth)
  elseif type(set) == 'table' then spell_pairs(out, set, false, depth)
  elseif type(big) == 'string' then out[#out + 1] = pack('<I1I4', 11, #big) .. big
  elseif type(verbatim) == 'table' and type(rawget(verbatim, 'format')) == 'string' and type(rawget(verbatim, 'string')) == 'string' then
    local form, text = rawget(verbatim, 'format'), rawget(verbatim, 'string')
    out[#out + 1] = pack('<I1I4I4', 12, 4 + #form + #text, #form) .. form .. text
  else
    local at = #out + 1
    local count = 0
    out[at] = ''
    local item = rawget(value, 1)
    while item ~= nil do
      spell(out, item, depth)
      count = count + 1
      item = rawget(value, count + 1)
    end
    out[at] = pack('<I1I4', 3, count)
  end
end

function spell(out, value, depth)
  local kind = type(value)
  if kind == 'string' then out[#out + 1] = pack('<I1I4', 2, #value) .. value
  elseif kind == 'number' then out[#out + 1] = pack('<I1I4d', 13, 8, value)
  elseif kind == 'boolean' and (value or resp == 3) then out[#out + 1] = pack('<I1I4I1', resp == 3 and 7 or 14, 1, value and 1 or 0)
  elseif kind == 'table' then spell_table(out, value, depth + 1)
  else out[#out + 1] = pack('<I1I4', 0, 0) end
end

local function told(value)
  local out = {}
  spell(out, value, 0)
  tell(103, concat(out))
end

local function finish(ok, result)
  if ok then
    local kind = type(result)
    if kind == 'table' then
      if not is_simple(result, 1) then
        xpcall(function() told(result) end, on_error)
        result = nil
      end
    elseif kind == 'number' then
      -- Not a number is no integer either: Redis answers the least that there is.
      if result ~= result then result = -2 ^ 63 end
    elseif kind ~= 'string' and kind ~= 'boolean' then
      result = nil
    end
  else
    -- The handler is not called when memory is used up, or the stack.
    if result ~= nil then tell(100, tostring(result)) end
    result = nil
  end
  busy = false
  local used = collect('count')
  if used > collect_above then
    collect()
    collect_above = collect('count') * 2
    if collect_above < 8192 then collect_above = 8192 end
  end
  return result
end

-- What the host calls. The last of ARGV says what to do.

local work = {}

-- The script of this number.
function work.s(number)
  return finish(xpcall(scripts[number], on_error))
end

-- The function of this number, of a library.
function work.f(number)
  local run, keys, args = functions[number], KEYS, ARGV
  return finish(xpcall(function() return (run(keys, args)) end, on_error))
end

local function compile(name)
  local found, message = loadstring(ARGV[1], name)
  if not found then
    busy = false
    return nil, { err = message }
  end
  return found
end

function work.c(number)
  local found, failure = compile('@user_script')
  if not found then return failure end
  scripts[number] = found
  busy = false
  return 1
end

function work.d(number)
  scripts[number] = nil
  busy = false
  return 1
end

function work.u(number)
  local first = number .. '.'
  for name in next, functions do
    if sub(name, 1, #first) == first then functions[name] = nil end
  end
  busy = false
  return 1
end

function work.g()
  collect()
  busy = false
  return collect('count')
end

-- The tables that a script was called with, for when it goes on: the host makes new ones at each of its calls.
local keys_table, argv_table

local function run()
  busy = true
  resp = 2
  local argv = ARGV
  keys_table, argv_table = KEYS, argv
  local count = #argv
  local order = argv[count]
  argv[count] = nil
  return work[sub(order, 1, 1)](sub(order, 2))
end

-- Parts of a script that was taken out in the middle, the lowest first. The one on top goes on; what it ends with is the result
-- of the pcall or xpcall in the one below it.

local parts, part_count = {}, 0
local create, resume = coroutine.create, coroutine.resume
-- Takes what the main thread was doing, and is never let go.
local spare = create(function() end)
parts[0] = spare
resume(spare)

local function nest(depth)
  if depth > 0 then nest(depth - 1) end
  return depth
end

local function spread(depth)
  local ${FILLERS}
  if depth > 0 then spread(depth - 1) end
  return depth
end

-- A thread that has ended, with room for so many values and calls; nothing is collected until the script goes on.
local function part(slots, calls)
  collect('stop')
  local thread = create(function() nest(calls) spread(slots / ${FILLER_COUNT}) end)
  if not resume(thread) then return nil end
  part_count = part_count + 1
  parts[part_count] = thread
  return tostring(thread)
end

local function ended(ok, ...)
  part_count = part_count - 1
  if part_count == 0 then return finish(ok, (...)) end
  return ended(resume(parts[part_count], ok, ...))
end

local function go_on()
  busy = true
  -- The host has unlocked globals; it locks them when the script begins to go on.
  KEYS, ARGV = keys_table, argv_table
  collect('restart')
  return ended(resume(parts[part_count]))
end

local for_host = { mantis_run = run, mantis_part = part, mantis_go_on = go_on }

local globals_meta = {
  __index = function(_, name)
    if not busy and for_host[name] then return for_host[name] end
    error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
  end,
}
setmetatable(_G, globals_meta)

-- redis

function redis.error_reply(...)
  local text = ...
  if select('#', ...) ~= 1 or type(text) ~= 'string' then return { err = 'ERR wrong number or type of arguments' } end
  if sub(text, 1, 1) == '-' then text = sub(text, 2) end
  text = match(text, '^[\r\n]*(.-)[\r\n]*$')
  if not find(text, ' ', 1, true) then text = 'ERR ' .. text end
  return { err = text }
end

function redis.status_reply(...)
  local text = ...
  if select('#', ...) ~= 1 or type(text) ~= 'string' then return { err = 'ERR wrong number or type of arguments' } end
  return { ok = text }
end

function redis.sha1hex(...)
  if select('#', ...) ~= 1 then raise('ERR wrong number of arguments') end
  local text = ...
  return (sha1hex(type(text) == 'number' and tostring(text) or type(text) == 'string' and text or ''))
end

function redis.log(...)
  local count = select('#', ...)
  if count < 2 then raise('ERR redis.log() requires two arguments or more.') end
  local words = { ... }
  local level = words[1]
  if type(level) ~= 'number' then raise('ERR First argument must be a number (log level).') end
  if level < 0 or level > 3 then raise('ERR Invalid log level.') end
  local shown = {}
  for index = 2, count do
    local kind = type(words[index])
    if kind == 'string' or kind == 'number' then shown[#shown + 1] = words[index] end
  end
  tell(level, concat(shown, ' '))
end

function redis.setresp(...)
  local version = ...
  if select('#', ...) ~= 1 then raise('ERR redis.setresp() requires one argument.') end
  if version ~= 2 and version ~= 3 then raise('ERR RESP version must be 2 or 3.') end
  resp = version
  setresp(version)
end

function redis.replicate_commands() return true end
function redis.breakpoint() return false end
function redis.debug() end

function redis.set_repl(...)
  local flags = ...
  if select('#', ...) ~= 1 then raise('ERR redis.set_repl() requires one argument.') end
  if flags ~= 0 and flags ~= 1 and flags ~= 2 and flags ~= 3 then
    raise('ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.')
  end
end

function redis.acl_check_cmd(...)
  if select('#', ...) == 0 then raise('ERR Please specify at least one argument for this redis.acl_check_cmd() call') end
  local answer = ask('${ACCESS_CHECK}', ...)
  if type(answer) == 'table' then raise(answer.err) end
  return answer == 1
end

os = {}
function os.clock() return ask('${CLOCK}') / 1e6 end

redis.REPL_NONE, redis.REPL_AOF, redis.REPL_SLAVE, redis.REPL_REPLICA, redis.REPL_ALL = 0, 1, 2, 2, 3
redis.REDIS_VERSION, redis.REDIS_VERSION_NUM = ARGV[2], tonumber(ARGV[3])

-- Libraries

local library = {}
local loading, registered

local function named_arguments(...)
  local given = ...
  if select('#', ...) == 1 and type(given) == 'table' then
    for key in next, given do
      if key ~= 'function_name' and key ~= 'callback' and key ~= 'description' and key ~= 'flags' then
        raise('ERR unknown argument given to redis.register_function')
      end
    end
    return given
  end
  if select('#', ...) == 1 then
    raise('ERR calling redis.register_function with a single argument is only applicable to Lua table (representing named arguments).')
  end
  if select('#', ...) ~= 2 then raise('ERR wrong number of arguments to redis.register_function') end
  local name, callback = ...
  return { function_name = name, callback = callback, positional = true }
end

local known_flags = {
  ['no-writes'] = true, ['allow-oom'] = true, ['allow-stale'] = true, ['no-cluster'] = true, ['allow-cross-slot-keys'] = true,
}

local function register_function(...)
  local given = named_arguments(...)
  local name, callback, description, flags = given.function_name, given.callback, given.description, given.flags
  if name == nil and not given.positional then raise('ERR redis.register_function must get a function name argument') end
  if type(name) == 'number' then name = tostring(name) end
  if type(name) ~= 'string' then
    raise(given.positional and 'ERR first argument to redis.register_function must be a string' or
      'ERR function_name argument given to redis.register_function must be a string')
  end
  if callback == nil and not given.positional then raise('ERR redis.register_function must get a callback argument') end
  if type(callback) ~= 'function' then
    raise(given.positional and 'ERR second argument to redis.register_function must be a function' or
      'ERR callback argument given to redis.register_function must be a function')
  end
  if type(description) == 'number' then description = tostring(description) end
  if description ~= nil and type(description) ~= 'string' then
    raise('ERR description argument given to redis.register_function must be a string')
  end
  if flags ~= nil and type(flags) ~= 'table' then
    raise('ERR flags argument to redis.register_function must be a table representing function flags')
  end
  if not match(name, '^[%w_]+$') then
    raise('ERR Library names can only contain letters, numbers, or underscores(_) and must be at least one character long')
  end
  if registered[name] then raise('ERR Function already exists in the library') end
  registered[name] = callback
  tell(105, name)
  if description then tell(106, description) end
  for index = 1, #(flags or {}) do
    local flag = flags[index]
    if not known_flags[flag] then raise('ERR unknown flag given') end
    tell(107, flag)
  end
end

local while_loading = {
  log = true, sha1hex = true, error_reply = true, status_reply = true, register_function = true,
}
for name in next, redis do
  if find(name, '^LOG_') or find(name, '^REPL_') or find(name, '^REDIS_') then while_loading[name] = true end
end

local library_meta = {
  __index = function(_, name)
    if loading and not while_loading[name] then
      error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
    end
    if loading and name == 'register_function' then return register_function end
    return redis[name]
  end,
}
setmetatable(library, library_meta)

-- Loads a library; its functions are told by name, and numbered by the host from this number on.
function work.l(number)
  local found, failure = compile('@user_function')
  if not found then return failure end
  loading, registered = true, {}
  local result = finish(xpcall(function() found(library) return 1 end, on_error))
  loading = false
  if result ~= 1 then return nil end
  for name, callback in next, registered do functions[number .. '.' .. name] = callback end
  registered = nil
  return 1
end

return {
  tostring(pcall), tostring(xpcall), tostring(spare), tostring(run), tostring(globals_meta), tostring(library), tostring(library_meta),
  tostring(os),
}
`;
