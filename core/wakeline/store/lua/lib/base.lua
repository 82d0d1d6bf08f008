-- Base: what every script starts with, which is its clock, its namespace and its arguments. `begin` sets all of them. A
-- server that keeps scripts as functions makes what is below once and calls it many times, so `begin` also empties what
-- a call gathers (in other fragments: `at_begin`).
-- ARGV: 1 now in ms ('' = this server's clock; tests pass a virtual one), 2 key prefix "{ns}:", 3 RQ's key prefix, 4
--       the client ('' where it does not count its writes), 5 the number of its last write that was answered, 6
--       arguments as one JSON object, 7... more of them: the script runs once for each (lib/bundle.lua), and `a` is the
--       one it runs for.
-- KEYS[1] only routes. Every key below is built from the prefix, whose braces put the whole namespace in one Cluster
--         slot (ADR 1).
local call, ns, rq, now, a
-- Whether this script wrote anything, and whether no client counts on what it wrote. The script says so
-- (lib/bundle.lua).
local wrote, unasked
local LOOKS = {
  TIME = true, EXISTS = true, GET = true, GETRANGE = true, HGET = true, HMGET = true, HGETALL = true, HEXISTS = true,
  HKEYS = true, HLEN = true, HSCAN = true, SISMEMBER = true, SMEMBERS = true, SCARD = true, SRANDMEMBER = true,
  SMISMEMBER = true, SUNION = true, LLEN = true, LINDEX = true, LRANGE = true, ZCARD = true, ZCOUNT = true,
  ZSCORE = true, ZINTER = true, ZRANGE = true, ZRANGEBYLEX = true, ZRANGEBYSCORE = true, ZREVRANGE = true,
  ZREVRANGEBYSCORE = true, XLEN = true, XRANGE = true, XREVRANGE = true,
}
-- Once it wrote, `call` is the server's own function, which takes less time.
local function noting(command, ...)
  if not LOOKS[command] then wrote, call = true, redis.call end
  return redis.call(command, ...)
end

local function begin_noting() wrote, unasked, call = false, false, noting end

-- Lua prints 1700000000000 as 1.7e+12; keys and replies need every digit.
local now_text
local function int(n)
  if n == now then return now_text end
  return string.format('%d', n)
end

local function clock()
  local t = call('TIME')
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end

local BOUND = 256 -- most items one script touches; the rest becomes a todo row which the tick drains
local NONE = {} -- an empty list for replies: one for all of them, which no script writes into
local ENDED = { completed = true, failed = true, cancelled = true, abandoned = true }

local function quote(text) return cjson.encode(text) end

-- What is stored, as a number or a JSON object; the other value where it is invalid. A record that another release or a
-- foreign client wrote must not stop a script that all others need, such as a take or a tick.
local function num(text, otherwise) return tonumber(text or '') or otherwise end
local function object(text)
  local read, value = pcall(cjson.decode, text or '')
  if read and type(value) == 'table' then return value end
end

-- A text as one word, for lists and hints whose parts stand between blanks. Its blanks, '%' and '#' become %xx
-- (names.word in Python). An id without any of them stays as it is; so does each id of the release before.
local function word(text)
  if string.find(text, '^%l_%w+$') then return text end -- as ids are that a client made
  return (string.gsub(text, '[%% #]', function(c) return string.format('%%%02x', string.byte(c)) end))
end

local function unword(text)
  return (string.gsub(text, '%%(%x%x)', function(x) return string.char(tonumber(x, 16)) end))
end

local function proc_key(pid) return ns .. 'proc:' .. pid end

-- HMGET as a table by field name; absent fields are nil.
local function fields(key, ...)
  local names, out = { ... }, {}
  local values = call('HMGET', key, ...)
  for i, name in ipairs(names) do
    if values[i] then out[name] = values[i] end
  end
  return out
end

-- What to answer about a process that is not there: pruned (its tombstone says how it ended) or never known.
local function missing(pid)
  local tomb = call('GET', ns .. 'tomb:' .. pid)
  if tomb then return { 'pruned', tomb } end
  return { 'not_found' }
end

-- No script reads these registries after it wrote to them. So their writes are gathered and sent when the script ends,
-- in one command for many members.
local gathered, by_key = {}, {}
local function gather(command, key, first, second)
  local keys = by_key[command]
  if not keys then
    keys = {}
    by_key[command] = keys
  end
  local one = keys[key]
  if not one then
    one = { command, key }
    keys[key], gathered[#gathered + 1] = one, one
  end
  local n = #one
  one[n + 1], one[n + 2] = first, second
end

-- Of two moves of a process in one script the last counts: what it leaves is gathered before all that it comes to.
local moved, moves, scores, index_keys = {}, {}, {}, {}
local function index_key(status)
  local key = index_keys[status]
  if not key then
    key = ns .. 'idx:' .. status
    index_keys[status] = key
  end
  return key
end

local function move_index(pid, from, to, score)
  if from and from ~= to then gather('ZREM', index_key(from), pid) end
  if not moved[pid] then moves[#moves + 1] = pid end
  moved[pid], scores[pid] = to, int(score)
end

-- What fragments have to do before anything else, when all replies are known, and after that.
local at_begin, at_last, at_end = {}, {}, {}
local function write_gathered()
  for _, last in ipairs(at_last) do last() end
  for _, pid in ipairs(moves) do gather('ZADD', index_key(moved[pid]), scores[pid], pid) end
  for _, one in ipairs(gathered) do
    for i = 3, #one, 1000 do call(one[1], one[2], unpack(one, i, math.min(i + 999, #one))) end
  end
  for _, last in ipairs(at_end) do last() end
end

local function begin(argv)
  ns, rq = argv[2], argv[3]
  begin_noting()
  -- Tables that the call before left empty serve this one, too.
  if #gathered > 0 then gathered, by_key = {}, {} end
  if #moves > 0 then moved, moves, scores = {}, {}, {} end
  if ns ~= index_keys.of then index_keys = { of = ns } end
  -- On a cluster RQ's prefix begins with the namespace's tag. While a slot moves key by key, its old node refuses a key
  -- that it no longer has, or never had, in the middle of a script. So each script looks first for a key that does not
  -- exist, and is refused before it writes anything.
  if string.sub(rq, 1, 1) == '{' then call('EXISTS', ns .. 'nowhere') end
  now = argv[1] ~= '' and tonumber(argv[1]) or clock()
  now_text = string.format('%d', now)
  for _, first in ipairs(at_begin) do first() end
end
