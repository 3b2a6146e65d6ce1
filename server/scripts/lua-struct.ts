/**
 * `struct` for integers of more than four bytes, and what is cut of them. The library of C takes its integers from Lua's numbers by way of a `long`, which
 * has four bytes in WebAssembly and eight in Redis: what is wider it packs and reads wrongly, and `l`, `L` and `T` are shorter. Formats
 * without such integers are left to it, and so is all but these integers in the others.
 */
export const WIDE_STRUCT = String.raw`
local c_pack, c_unpack, c_size = struct.pack, struct.unpack, struct.size
local error, pcall, select, tonumber, tostring, type, unpack = error, pcall, select, tonumber, tostring, type, unpack
local find, match, sub, gsub, rep, reverse = string.find, string.match, string.sub, string.gsub, string.rep, string.reverse
local char, byte, concat, floor = string.char, string.byte, table.concat, math.floor

local SIZES = { b = 1, B = 1, h = 2, H = 2, f = 4, d = 8, x = 1 }
local WIDTHS = { l = 8, L = 8, T = 8 }

-- Formats that were asked for, and whether they have wide integers: a script's are few.
local known, known_count = {}, 0

local function is_wide(form)
  if type(form) ~= 'string' then return false end
  local answer = known[form]
  if answer ~= nil then return answer end
  answer = (find(form, '[lLT]') or find(form, '[iI][5-9]') or find(form, '[iI]%d%d')) ~= nil
  if #form > 100 then return answer end
  if known_count == 1000 then known, known_count = {}, 0 end
  known[form], known_count = answer, known_count + 1
  return answer
end

-- Gives each option of a format: with its digits, by itself, its width when it is an integer, whether it is little-endian, and
-- how many bytes come before it at an offset.
local function options(form)
  local at, align, little = 1, 1, true
  local function gap(size, offset)
    if size > align then size = align end
    if size <= 1 then return 0 end
    return (size - offset % size) % size
  end
  return function()
    while at <= #form do
      local option, digits = match(form, '^([ciI!])(%d*)', at)
      if not option then option, digits = sub(form, at, at), '' end
      local token = option .. digits
      at = at + #token
      if option == '<' then little = true
      elseif option == '>' then little = false
      elseif option == '!' then
        c_size(token)
        align = tonumber(digits) or 8
      elseif option ~= ' ' then
        local size = WIDTHS[option] or SIZES[option] or 0
        if option == 'i' or option == 'I' then
          c_size(token)
          size = tonumber(digits) or 4
        end
        local is_integer = find(token, '^[bBhHlLTiI]') ~= nil
        return token, option, is_integer and size or nil, little, function(offset) return gap(size, offset) end
      end
    end
  end
end

-- The integer's last so many bytes, as C makes them from a double on x86-64.
local function spell(value, width, little)
  local is_negative = value < 0
  local rest = floor(is_negative and -value or value)
  if value ~= value or (is_negative and rest > 2^63) then rest = 2^63 elseif rest >= 2^64 then rest = 0 end
  local bytes, carry = {}, 1
  for index = 1, 8 do
    local low = rest % 256
    rest = (rest - low) / 256
    if is_negative then
      low = 255 - low + carry
      carry = low == 256 and 1 or 0
      low = low % 256
    end
    bytes[index] = char(low)
  end
  local text = sub(concat(bytes), 1, width) .. rep('\0', width - 8)
  return little and text or reverse(text)
end

local function read(text, is_signed, little)
  if not little then text = reverse(text) end
  local bytes = #text < 8 and #text or 8
  local low, high = 0, 0
  for index = 4, 1, -1 do low = low * 256 + byte(text, index) end
  for index = bytes, 5, -1 do high = high * 256 + byte(text, index) end
  if is_signed and high >= 2^(8 * (bytes - 4) - 1) then high = high - 2^(8 * (bytes - 4)) end
  return high * 2^32 + low
end

local function wide_pack(form, ...)
  local out, length, taken = {}, 0, 0
  for token, option, width, little, gap in options(form) do
    local pad = gap(length)
    local piece
    if option == 'x' then
      piece = '\0'
    else
      taken = taken + 1
      local given = (select(taken, ...))
      if width then
        local value = (type(given) == 'number' or type(given) == 'string') and tonumber(given)
        if not value then
          error("bad argument #" .. (taken + 1) .. " to 'pack' (number expected, got " .. type(given) .. ')', 0)
        end
        piece = spell(value, width, little)
      else
        local ok, result = pcall(c_pack, (little and '<' or '>') .. token, given)
        if not ok then error(gsub(result, '#2', '#' .. (taken + 1), 1), 0) end
        piece = result
      end
    end
    out[#out + 1] = rep('\0', pad) .. piece
    length = length + pad + #piece
  end
  return concat(out)
end

local function wide_unpack(form, data, start)
  -- What is wrong with these it says itself.
  c_unpack('', data, start)
  data = tostring(data)
  local at, values, count = floor(tonumber(start) or 1), {}, 0
  for token, option, width, little, gap in options(form) do
    at = at + gap(at - 1)
    if width and width > 4 then
      if at - 1 + width > #data then error("bad argument #2 to 'unpack' (data string too short)", 0) end
      count = count + 1
      values[count] = read(sub(data, at, at + width - 1), option == 'l' or option == 'i', little)
      at = at + width
    elseif option == 'x' then
      at = c_unpack('x', data, at)
    elseif token == 'c0' then
      local size = values[count]
      if type(size) ~= 'number' then error("format 'c0' needs a previous size", 0) end
      values[count] = ''
      if size >= 1 then values[count] = c_unpack('c' .. floor(size), data, at) end
      at = at + floor(size)
    else
      count = count + 1
      values[count], at = c_unpack((little and '<' or '>') .. token, data, at)
    end
  end
  values[count + 1] = at
  return unpack(values, 1, count + 1)
end

local function wide_size(form)
  local length = 0
  for token, _, width, _, gap in options(form) do
    length = length + gap(length) + (width or c_size(token))
  end
  return length
end

-- An error is of the script's line, not of one here.
local function finish(name, is_done, ...)
  if is_done then return ... end
  local message = gsub(tostring((...)), '^prelude:%d+: ', '')
  message = gsub(message, "^(bad argument #%d+ to )'[^']*'", "%1'" .. name .. "'")
  error(message, 3)
end

local function both(name, narrow, wide)
  return function(...)
    return finish(name, pcall(is_wide((...)) and wide or narrow, ...))
  end
end

-- Whether a number is none that four bytes hold: the lowest bytes of these are wrong too.
local function is_far(_, ...)
  for index = 1, select('#', ...) do
    local value = (select(index, ...))
    if type(value) == 'number' and not (value >= -2147483648 and value < 4294967296) then return true end
  end
  return false
end

local function any_pack(...)
  if type((...)) == 'string' and is_far(...) then return wide_pack(...) end
  return c_pack(...)
end

struct = {
  pack = both('pack', any_pack, wide_pack),
  unpack = both('unpack', c_unpack, wide_unpack),
  size = both('size', c_size, wide_size),
}
return { tostring(struct) }
`;
