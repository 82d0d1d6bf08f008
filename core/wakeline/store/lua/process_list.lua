-- Purpose: one page of processes of some statuses, newest first within each.
-- Include: base errors filters registrations
-- ARGV: statuses, limit, score ('+inf' or where the last page ended in the first of the statuses), member ('' or the
--       last id of that score), kind?, engine? (its name), sid?, waiting? (signal name), parent?, name? (of an engine,
--       a tool or an agent), labels? (all of these), beginning? (of its id, 6 letters or more), since? until? (ms;
--       those that have their status since then), since_ago? until_ago? (the same, in ms before now), bare? (a row is
--       [pid, status, its time there, when it was registered, '1' if it was asked to end])
-- Reply: {rows [pid, fields, spec (a long one without its input), its time in the list of its status, what a failed one
--        says of its error or '']*,
--        next score or '', next member, how many of the statuses are done, now, the filter whose index is far behind in
--        the next of the statuses or '', what an index has and should not [status, word, pid]*}; a page may hold fewer
--        rows than the limit while more follow. That time is when a queued process is offered to workers
-- Atomic because a process that goes from one status to another between two looks would be in neither.
local rows, stale, seen = {}, {}, 0
local time, name = a.score, a.member
local letter, words = filters.lead(a)
local narrowed = letter or a.kind
local since = a.since or a.since_ago and now - a.since_ago
local latest_ms = a['until'] or a.until_ago and now - a.until_ago
local newest = latest_ms and int(latest_ms + 1) or '+inf'
if latest_ms and (time == '+inf' or tonumber(time) > latest_ms) then time, name = newest, '' end

-- How many of an index are older than what is sought.
local function older(index) return since and call('ZCOUNT', index, '-inf', '(' .. int(since)) or 0 end

local function is_full() return #rows >= a.limit or seen >= BOUND end

local function look_at(pid, at)
  seen, time, name = seen + 1, at, pid
  local p = filters.read(pid)
  if not filters.fits(pid, p, a) then return end
  if a.bare then
    local more = fields(proc_key(pid), 'ca', 'cr')
    rows[#rows + 1] = { pid, p.st, at, more.ca or '', more.cr and '1' or '' }
  else
    local spec = registrations.brief(call('GET', ns .. 'spec:' .. pid) or '')
    rows[#rows + 1] = { pid, call('HGETALL', proc_key(pid)), spec, at, error_of(pid, p.st) }
  end
end

-- Those from a place on, down to where the index of the filter has all: `below` of them.
local function scan(index, below)
  local rank = time == '+inf' and call('ZCARD', index) or filters.before(index, time, name)
  below = math.max(below, older(index))
  while rank > below and not is_full() do
    local most = math.min(rank - below, BOUND - seen, narrowed and BOUND or a.limit - #rows)
    local page = call('ZRANGE', index, int(rank - most), int(rank - 1), 'WITHSCORES')
    for i = #page - 1, 1, -2 do
      if is_full() then return end
      look_at(page[i], page[i + 1])
    end
    rank = rank - most
  end
end

-- The latest of an index that are behind the place and before `bound`.
local function latest(found, index, word_of, bound)
  local rank = (time == '+inf' or tonumber(time) >= bound) and call('ZCOUNT', index, '-inf', '(' .. int(bound))
    or filters.before(index, time, name)
  local least = older(index)
  local page = rank > least
    and call('ZRANGE', index, int(math.max(least, rank - BOUND + seen)), int(rank - 1), 'WITHSCORES')
  for i = 1, page and #page or 0, 2 do found[#found + 1] = { page[i], page[i + 1], word_of } end
end

local function look_up(status, bound)
  repeat
    local found = {}
    for _, one in ipairs(words) do latest(found, filters.index(status, one), one, bound) end
    table.sort(found, function(x, y)
      if x[2] ~= y[2] then return tonumber(x[2]) > tonumber(y[2]) end
      return filters.is_less(y[1], x[1])
    end)
    for _, one in ipairs(found) do
      if is_full() then return end
      local at = call('ZSCORE', ns .. 'idx:' .. status, one[1])
      if at and tonumber(at) < bound then
        look_at(one[1], one[2])
      else
        seen, time, name = seen + 1, one[2], one[1]
        if not at then stale[#stale + 1] = { status, one[3], one[1] } end
      end
    end
  until #found == 0
end

for done, status in ipairs(a.statuses) do
  if not (a.waiting and ENDED[status]) then
    local index, bound, below = ns .. 'idx:' .. status, 0, 0
    if letter then bound, below = filters.reach(status, letter) end
    scan(index, below)
    if is_full() then
      local behind = letter and seen >= BOUND
        and call('ZCOUNT', index, '-inf', int(filters.settled())) - below >= BOUND
      return { rows, time, name, done - 1, int(now), behind and letter or '', stale }
    end
    if bound > 0 then look_up(status, bound) end
    if is_full() then return { rows, time, name, done - 1, int(now), '', stale } end
  end
  time, name = newest, ''
end
return { rows, '', '', #a.statuses, int(now), '', stale }
