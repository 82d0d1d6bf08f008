-- What every script starts with: its clock, its namespace, its arguments.
-- ARGV: 1 now in ms ('' = this server's clock; tests pass a virtual one), 2 key prefix "{ns}:", 3 RQ's key prefix, 4 arguments as one JSON object.
-- KEYS[1] only routes: every key below is built from the prefix, whose braces put the whole namespace in one Cluster slot (ADR 0002).
local call = redis.call
local ns, rq = ARGV[2], ARGV[3]
local a = cjson.decode(ARGV[4])

-- Lua prints 1700000000000 as 1.7e+12; keys and replies need every digit.
local function int(n) return string.format('%d', n) end

local function clock()
  if ARGV[1] ~= '' then return tonumber(ARGV[1]) end
  local t = call('TIME')
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end
local now = clock()

local BOUND = 256 -- most items one script touches; the rest becomes a todo row which the tick drains
local ENDED = { completed = true, failed = true, cancelled = true, abandoned = true }

local function quote(text) return cjson.encode(text) end

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

local function move_index(pid, from, to, score)
  if from and from ~= to then call('ZREM', ns .. 'idx:' .. from, pid) end
  call('ZADD', ns .. 'idx:' .. to, int(score), pid)
end
