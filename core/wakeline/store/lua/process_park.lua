-- Purpose: let go of a process that only waits: event, lease released, RQ job ended. Refused when a group is already
--          met, when there is no group, or when the fence is lost.
-- Include: base letters log process misfits runs slots journal
-- ARGV: pid, fence, groups [ids of the groups it waits for], wait (payload of process.waiting, JSON), rows?, early?
--       [slots that a task of the body waits for without the rest of their group: any resolution resumes it then
--       ('an')]
-- Reply: {'parked', sequence} | {'met'} | {'lost'}
-- Atomic because a resolution between the look and the release would find no waiting process (race 5); a pending cancel
--        has met every group (race 2).
local p = load(a.pid)
local f = a.fence
if p.st == 'waiting' and p.inc == f.inc and p.ep == f.ep and p.cl == f.cl then return { 'parked', p.seq } end
if not holds(p, f, a.rows) then return { 'lost' } end
apply_rows(a.pid, p, a.rows)
if #a.groups == 0 then return { 'met' } end -- nothing would resume it
for _, group in ipairs(a.groups) do
  if tonumber(call('HGET', proc_key(a.pid), 'o:' .. group) or '0') <= 0 then return { 'met' } end
end
for _, id in ipairs(a.early or {}) do
  if call('HEXISTS', slot_key(id), 'r') == 1 then return { 'met' } end
end
local seq = append(a.pid, p, 'process.waiting', a.wait, nil, nil, run_of(p))
leave_owner(a.pid, p, 'successful')
call('HDEL', proc_key(a.pid), 'ow', 'ct', 'rw')
call('HSET', proc_key(a.pid), 'st', 'waiting', 'sn', int(now), 'pr', p.rel or '')
misfits.clear(a.pid, p)
if a.early then call('HSET', proc_key(a.pid), 'an', '1') end
call('ZREM', ns .. 'timers', TIMER.attempt_timeout .. a.pid)
move_index(a.pid, 'running', 'waiting', now)
progressed(a.pid, p)
compact(a.pid, p)
return { 'parked', seq }
