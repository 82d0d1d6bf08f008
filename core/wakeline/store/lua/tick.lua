-- Purpose: what time does: due timers, expired owners, lost doorbells, what stands still, todo rows, retention. One of
--          all that run it ticks, and the others look whether it does; two ticks do nothing twice.
-- Include: base declarations routes hints ticked doorbell tending retention righting timers leases bells todo schedules
-- ARGV: beat_ms, lease_ms, stale_ms, retention_ms, tombstone_ms, limit, by? (<worker|clock|stock> <its owner id>),
--       spare_ms? (do nothing where another worker ticked less than this ago), every_ms? (leave it to the one that
--       ticks, where that came less than this ago), told? (it was told of a timer that is due: those are fired in any
--       case), patience_ms (as in owner_reap.lua)
-- Reply: {fired, reaped, rung, pruned, next due or '', more ('1'), now, due schedules [name, due, schedule]*,
--        deliveries that are not settled, ms after which the worker that ticked goes on to prune or '', until when
--        another one ticks ('0': this one did; of those that were left to another, only timers were fired), releases
--        whose declarations came into force and are not written [app, declares]*}
-- Atomic because between a timer's look and its effect the wait may be over.
if a.spare_ms then
  local at, by = ticks.last()
  if at and by ~= a.by and now - at < a.spare_ms then
    local ends = int(at + a.spare_ms)
    return { 0, 0, 0, 0, ends, '0', int(now), {}, 0, '', ends, {} }
  end
end
local other = a.every_ms and ticks.left_to_another()
if other then
  local fired, more, first = 0, false, nil
  if a.told then
    fired, more = fire_timers()
    first = next_due()
  end
  -- What needs code, which the one that ticks may not have.
  local undelivered, unwritten = call('ZCOUNT', ns .. 'deliveries', '-inf', int(now - a.beat_ms)), declarations.settle()
  unasked = fired + #unwritten == 0
  return {
    fired, 0, 0, 0, first or '', more and '1' or '0', int(now), due_schedules(), undelivered, '', int(other), unwritten,
  }
end
-- A removal as the first write (see owner_beat.lua): what a tick prunes is what a server without memory needs.
call('HDEL', ns .. 'suspects', '')
local fired, more_timers = fire_timers()
local reaped = reap_expired()
doorbell.choose_form()
local cursor, pruner, looked = unpack(call('HMGET', ns .. 'meta', 'sweep', 'pruner', 'looked'))
local rung, next_cursor = sweep_bells(cursor)
local found, next_look = routes.find(looked, BOUND * 4)
for _, queue in ipairs(found) do hints.wake_idle(queue) end
local meta = { 'sweep', next_cursor, 'ticked', int(now) .. ' ' .. (a.by or 'worker') }
if a.every_ms then
  meta[5], meta[6] = 'ticker', int(now + a.every_ms) .. ' ' .. a.by
  meta[7], meta[8] = 'retains', int(a.retention_ms)
end
if next_look then meta[#meta + 1], meta[#meta + 2] = 'looked', next_look end
call('HSET', ns .. 'meta', unpack(meta))
do_todo()
local more_lines = tend_limits()
put_standing_right()
local pruned, prune_in = retention.in_turn(pruner)
local schedules = due_schedules()
local undelivered, unwritten = call('ZCOUNT', ns .. 'deliveries', '-inf', int(now - a.beat_ms)), declarations.settle()
local first = next_due()
local more = (more_timers or call('LLEN', ns .. 'todo') > 0 or more_lines) and '1' or '0'
unasked = fired + reaped + rung + pruned + #unwritten == 0
return { fired, reaped, rung, pruned, first or '', more, int(now), schedules, undelivered, prune_in, '0', unwritten }
