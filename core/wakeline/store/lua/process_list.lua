-- Purpose: one page of processes of some statuses, newest first within each.
-- Include: base
-- ARGV: statuses, limit, score ('+inf' or where the last page ended in the first of the statuses), member ('' or the
--       last id of that score), kind?, engine? (its name), sid?, waiting? (signal name), parent?
-- Reply: {rows [pid, fields, spec, its time in the list of its status]*, next score or '', next member, how many of the
--        statuses are done, now}; a page may hold fewer rows than the limit while more follow. That time is when a
--        queued process is offered to workers
-- Atomic because a process that goes from one status to another between two looks would be in neither.
local rows, seen = {}, 0
local score, member = a.score, a.member

local function consider(pid, time)
  local p = fields(proc_key(pid), 'k', 'sid', 'ws', 'pa')
  local keep = p.k and (not a.kind or p.k == a.kind) and (not a.sid or p.ws == a.sid or p.sid == a.sid)
    and (not a.parent or p.pa == a.parent)
  -- The input may be of any size; an engine's name stands at its beginning.
  if keep and a.engine then
    local sought = '"input":{"type":"engine","kind":' .. quote(a.engine)
    keep = string.find(call('GETRANGE', ns .. 'spec:' .. pid, 0, 1023), sought, 1, true)
  end
  if keep and a.waiting then
    local open = fields(proc_key(pid), 'n:' .. a.waiting, 'l:' .. a.waiting)
    local link = open['l:' .. a.waiting] -- it may wait for the signal under another of its names
    keep = open['n:' .. a.waiting] or (link and call('HEXISTS', proc_key(pid), 'n:' .. link) == 1)
  end
  if keep then
    rows[#rows + 1] = { pid, call('HGETALL', proc_key(pid)), call('GET', ns .. 'spec:' .. pid) or '', time }
  end
end

for done, status in ipairs(a.statuses) do
  local page =
    call('ZREVRANGEBYSCORE', ns .. 'idx:' .. status, score, '-inf', 'WITHSCORES', 'LIMIT', '0', int(BOUND * 2))
  for i = 1, #page, 2 do
    local pid = page[i]
    if member == '' or tonumber(page[i + 1]) < tonumber(score) or pid < member then
      seen = seen + 1
      consider(pid, page[i + 1])
      if #rows >= a.limit or seen >= BOUND then return { rows, page[i + 1], pid, done - 1, int(now) } end
    end
  end
  score, member = '+inf', ''
end
return { rows, '', '', #a.statuses, int(now) }
