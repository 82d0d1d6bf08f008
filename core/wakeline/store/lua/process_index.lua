-- Purpose: enter some more processes of a status into the index of a filter, those first that have had it for longest.
-- Include: base filters
-- ARGV: status, filter (its letter; absent: only what is stale), stale? [status, word, pid]* (found in an index by a
--       list, and not in that status any more)
-- Reply: '1' while more are to be entered, else '0'
-- Atomic because a process that left its status between the look and the entry would stay in the index.
unasked = true
for _, one in ipairs(a.stale or {}) do
  local status, found, pid = unpack(one)
  if not call('ZSCORE', ns .. 'idx:' .. status, pid) then call('ZREM', filters.index(status, found), pid) end
end
if not a.filter then return '0' end
local time, _, name = filters.reach(a.status, a.filter)
local index, settled, into = ns .. 'idx:' .. a.status, filters.settled(), {}
-- The last one of the slice before is entered again: it may be gone, and then its place is found by its name.
local from = filters.before(index, int(time), name)
local page = call('ZRANGE', index, int(from), int(from + BOUND - 1), 'WITHSCORES')
local more = #page == BOUND * 2
for i = 1, #page, 2 do
  if tonumber(page[i + 1]) > settled then
    more = false
    break
  end
  name, time = page[i], tonumber(page[i + 1])
  local p = filters.read(name)
  if p.st == a.status then filters.enter(name, p, a.filter, page[i + 1], into) end
end
filters.write(into)
if not more then time, name = settled + 1, '' end
filters.reaches(a.status, a.filter, time, name)
return more and '1' or '0'
