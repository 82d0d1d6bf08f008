-- Filters: by what a list of processes is narrowed, and an index of each filter. An index is kept once a list looked at
-- many in vain (ADR 17). A process that is in it says so ('ix'), and leaves with its status. Nothing trusts an index:
-- what it finds is checked against its record.
-- Needs: base registrations
local SETTLED = 500 -- ms; what has its status for less is not entered yet: most of it is about to leave
local BEGINNING = 6 -- bytes of an id by which it is found, less those of a character that goes on behind them
local FEW, SHORT = 8, 128 -- names of signals of one process, and fields of its record, that are looked through
local ANY = '*' -- it may wait for any signal: it is looked at whichever one is sought
local filters = {}

-- The name of an engine; before it had a field, only the registration said it: near its beginning, since the input may
-- be of any size.
local function engine_of(pid, p)
  local named = p.cd and string.match(p.cd, '^e:(.*)$')
  if named then return unword(named) end
  local head = call('GETRANGE', ns .. 'spec:' .. pid, 0, 1023)
  return string.match(head, '"input":{"type":"engine","kind":"([^"]*)"')
end

-- The name of its code: of an engine, a tool or an agent.
local function name_of(pid, p)
  if p.k == 'e' then return engine_of(pid, p) end
  if p.k == 's' then return p.sid and string.match(p.sid, '^([^/]*)/') end
  local named = p.cd and string.match(p.cd, '^t:(.*)$')
  if named or p.k ~= 't' then return named and unword(named) end
  return string.match(call('GET', ns .. 'spec:' .. pid) or '', '"tool_name":"([^"]*)"')
end

local function labels_of(pid)
  local rest, found = registrations.rest(pid), {}
  for key, value in pairs(rest and rest.labels or {}) do found[#found + 1] = key .. '=' .. value end
  return found
end

local function is_labelled(pid, labels)
  local rest = registrations.rest(pid)
  local has = rest and rest.labels or {}
  for key, value in pairs(labels) do
    if has[key] ~= value then return false end
  end
  return true
end

-- A signal is also waited for under another of its names.
local function waits_for(pid, name)
  local open = fields(proc_key(pid), 'n:' .. name, 'l:' .. name)
  local led_to = open['l:' .. name]
  return open['n:' .. name] or (led_to and call('HEXISTS', proc_key(pid), 'n:' .. led_to) == 1)
end

-- Of what runs, the waits change while it has its status: any run may wait for any signal.
local function names_of_waits(pid, p, status)
  if ENDED[status] or p.k == 'x' or not p.fs and status == 'queued' then return {} end
  if status == 'running' or call('HLEN', proc_key(pid)) > SHORT then return { ANY } end
  local names, open, flat = {}, {}, call('HGETALL', proc_key(pid))
  for i = 1, #flat, 2 do
    if string.sub(flat[i], 1, 2) == 'n:' then open[string.sub(flat[i], 3)] = true end
  end
  for i = 1, #flat, 2 do
    local field, led_to = string.match(flat[i], '^([nl]):(.*)$'), flat[i + 1]
    if field == 'n' or (field == 'l' and open[led_to]) then names[#names + 1] = string.sub(flat[i], 3) end
  end
  return #names > FEW and { ANY } or names
end

-- What is looked at of a record.
function filters.read(pid) return fields(proc_key(pid), 'st', 'k', 'cd', 'sid', 'ws', 'pa', 'fs', 'ix') end

-- It ends between two characters: a client cannot read a record that has a half of one.
function filters.beginning(id)
  local last, after = BEGINNING, string.byte(id, BEGINNING + 1)
  while after and after >= 128 and after < 192 do
    last, after = last - 1, string.byte(id, last)
  end
  return string.sub(id, 1, last)
end

-- What a process is found by, of each filter. Another filter is another row.
filters.values = {
  k = function(pid, p) return { p.k == 'e' and 'e:' .. (engine_of(pid, p) or '') or p.k } end,
  s = function(_, p) return p.sid ~= p.ws and { p.sid or p.ws, p.sid and p.ws } or { p.sid } end,
  p = function(_, p) return { p.pa } end,
  w = names_of_waits,
  n = function(pid, p) return { name_of(pid, p) } end,
  l = labels_of,
  i = function(pid) return { filters.beginning(pid) } end,
}

-- Whether a process is one of those that are sought: `by` has kind, engine (its name), sid, waiting, parent, name,
-- labels, beginning (of its id).
function filters.fits(pid, p, by)
  return p.k and (not by.kind or p.k == by.kind) and (not by.sid or p.ws == by.sid or p.sid == by.sid)
    and (not by.parent or p.pa == by.parent)
    and (not by.beginning or string.sub(pid, 1, #by.beginning) == by.beginning)
    and (not by.engine or engine_of(pid, p) == by.engine) and (not by.waiting or waits_for(pid, by.waiting))
    and (not by.name or name_of(pid, p) == by.name) and (not by.labels or is_labelled(pid, by.labels))
end

-- The filter whose index leads to those that are sought, and the words under which they are there.
function filters.lead(by)
  if by.parent then return 'p', { 'p:' .. by.parent } end
  if by.sid then return 's', { 's:' .. by.sid } end
  if by.beginning then return 'i', { 'i:' .. filters.beginning(by.beginning) } end
  if by.labels then
    local key, value = next(by.labels)
    return 'l', { 'l:' .. key .. '=' .. value }
  end
  if by.waiting then return 'w', { 'w:' .. by.waiting, 'w:' .. ANY } end
  if by.name then return 'n', { 'n:' .. by.name } end
  if by.engine then return 'k', { 'k:e:' .. by.engine } end
  if by.kind and by.kind ~= 'e' then return 'k', { 'k:' .. by.kind } end
end

function filters.index(status, one) return ns .. 'by:' .. status .. ':' .. one end

-- Until when a process of this status is settled: none comes before that any more.
function filters.settled() return now - SETTLED end

-- How many members of a sorted set stand before a place, which is a time and a name. Names are compared byte by byte,
-- as the server orders them; Lua would ask its language.
function filters.is_less(one, other)
  for i = 1, math.min(#one, #other) do
    local x, y = string.byte(one, i), string.byte(other, i)
    if x ~= y then return x < y end
  end
  return #one < #other
end
function filters.before(key, time, name)
  local low = call('ZCOUNT', key, '-inf', '(' .. time)
  local high = low + call('ZCOUNT', key, time, time)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local there = call('ZRANGE', key, int(middle), int(middle))[1]
    if filters.is_less(there, name) then low = middle + 1 else high = middle end
  end
  return low
end

-- How far the index of a filter reaches: all processes of the status whose time is before `time` are in it, and of
-- those at that time the ones before `name`. Also how many these are. Nothing comes to a time that is past. Where more
-- are there than were entered, the clock had gone back, or a foreign hand wrote: the index begins anew.
function filters.reach(status, letter)
  local said = call('HGET', ns .. 'indexed', status .. ':' .. letter)
  local time, many, name = string.match(said or '', '^(%d+) (%d+) (.*)$')
  if not time then return 0, 0, '' end
  if tonumber(time) > filters.settled() + 1 then time, name = int(filters.settled() + 1), '' end
  local below = call('ZCOUNT', ns .. 'idx:' .. status, '-inf', '(' .. time)
  if below > tonumber(many) then return 0, 0, '' end
  return tonumber(time), below, name
end

function filters.reaches(status, letter, time, name)
  local below = call('ZCOUNT', ns .. 'idx:' .. status, '-inf', '(' .. int(time))
  call('HSET', ns .. 'indexed', status .. ':' .. letter, int(time) .. ' ' .. below .. ' ' .. name)
end

-- It leaves with its status; few were entered. The caller removes the field, too.
function filters.drop(pid, p)
  if not p.ix then return end
  local status, words = string.match(p.ix, '^(%S+)(.*)$')
  for one in string.gmatch(words, '%S+') do gather('ZREM', filters.index(status, unword(one)), pid) end
end

function filters.leave(pid, p)
  if not p.ix then return end
  filters.drop(pid, p)
  call('HDEL', proc_key(pid), 'ix')
  p.ix = nil
end

-- Enters a process into the index of one filter, under what it is found by now. `into`: what to add, by index.
function filters.enter(pid, p, letter, time, into)
  local status, words = string.match(p.ix or '', '^(%S+)(.*)$')
  if status ~= p.st then
    filters.leave(pid, p)
    words = ''
  end
  local kept, over = {}, {}
  for one in string.gmatch(words, '%S+') do
    if string.sub(one, 1, 1) == letter then over[one] = true else kept[#kept + 1] = one end
  end
  for _, value in ipairs(filters.values[letter](pid, p, p.st)) do
    local one = letter .. ':' .. value
    local index = filters.index(p.st, one)
    into[index] = into[index] or {}
    into[index][#into[index] + 1], into[index][#into[index] + 2] = time, pid
    kept[#kept + 1], over[word(one)] = word(one), nil
  end
  for one in pairs(over) do gather('ZREM', filters.index(p.st, unword(one)), pid) end
  local ix = #kept > 0 and p.st .. ' ' .. table.concat(kept, ' ') or nil
  if ix and ix ~= p.ix then
    call('HSET', proc_key(pid), 'ix', ix)
  elseif p.ix and not ix then
    call('HDEL', proc_key(pid), 'ix')
  end
  p.ix = ix
end

function filters.write(into)
  for index, members in pairs(into) do call('ZADD', index, unpack(members)) end
end

-- What the indices of a status have passed, by filter. All of them reach no further than the clock: where it went back,
-- what comes now comes behind them.
function filters.passed(status)
  local passed, known = {}, call('HGETALL', ns .. 'indexed')
  for i = 1, #known, 2 do
    local of, letter = string.match(known[i], '^(.*):(.*)$')
    local time = num(string.match(known[i + 1], '^%d+'), 0)
    if time > filters.settled() + 1 then filters.reaches(of, letter, filters.settled() + 1, '') end
    if of == status and filters.values[letter] then passed[letter] = filters.reach(of, letter) end
  end
  return passed
end

-- A process that an index has passed and does not have as it is: a release before gave it another wake target, or the
-- clock had gone back when it came.
function filters.mend(pid, p, time, passed)
  for letter, until_ms in pairs(passed) do
    local before, into = p.ix, {}
    if tonumber(time) < until_ms then filters.enter(pid, p, letter, time, into) end
    if p.ix ~= before then filters.write(into) end
  end
end

-- By what a process is found changed while it has its status: it is entered where the index has passed it.
function filters.renew(pid, letter)
  local p = filters.read(pid)
  local time = p.st and call('ZSCORE', ns .. 'idx:' .. p.st, pid)
  if not time or tonumber(time) > filters.reach(p.st, letter) then return end
  local into = {}
  filters.enter(pid, p, letter, time, into)
  filters.write(into)
end
