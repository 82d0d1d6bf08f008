-- Purpose: let go of a process that only waits: event, lease released, RQ job ended. Refused when a group is already
--          met, when there is no group, or when the fence is lost.
-- Include: base letters filters log process record misfits runs slots journal
-- ARGV: pid, fence, groups [ids of the groups it waits for], wait (payload of process.waiting, JSON), rows?, early?
--       [slots that a task of the body waits for without the rest of their group: any resolution resumes it then
--       ('an')], seen? (instruments see the run), headers? (JSON: what they give
--       the run that goes on)
-- Reply: {'parked', sequence} | {'met'} | {'lost'}
-- Atomic because a resolution between the look and the release would find no waiting process (race 5); a pending cancel
--        has met every group (race 2).
local p = load(a.pid)
local f = a.fence
if p.st == 'waiting' and p.inc == f.inc and p.ep == f.ep and p.cl == f.cl then return { 'parked', p.seq } end
if not holds(p, f, a.rows) then return { 'lost' } end
apply_rows(a.pid, p, a.rows)
if #a.groups == 0 then return { 'met' } end -- nothing would resume it
local w = record.open(a.pid, p)
for _, group in ipairs(a.groups) do
  if num(record.get(w, 'o:' .. group), 0) <= 0 then return { 'met' } end
end
for _, id in ipairs(a.early or {}) do
  if call('HEXISTS', slot_key(id), 'r') == 1 then return { 'met' } end
end
if a.seen then record.set(w, 'pk', int(now)) end
local seq = record.event(w, 'process.waiting', a.wait, nil, run_of(p))
leave_owner(a.pid, p, 'successful')
filters.drop(a.pid, p)
record.drop(w, 'ow')
record.drop(w, 'ct')
record.drop(w, 'rw')
record.drop(w, 'ix')
record.set(w, 'st', 'waiting')
record.set(w, 'sn', int(now))
record.set(w, 'pr', p.rel or '')
if a.headers then record.set(w, 'hs', a.headers) end
if a.early then record.set(w, 'an', '1') end
record.write(w)
misfits.clear(a.pid, p)
if p.to then gather('ZREM', ns .. 'timers', TIMER.attempt_timeout .. a.pid) end
move_index(a.pid, 'running', 'waiting', now)
progressed(a.pid, p)
compact(a.pid, p)
return { 'parked', seq }
