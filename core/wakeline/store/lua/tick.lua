-- Purpose: what time does: due timers, expired owners, lost doorbells, what stands still, todo rows, retention. Every
--          worker runs it; two runs do nothing twice.
-- Include: base declarations ticked doorbell tending retention righting timers leases bells todo schedules
-- ARGV: beat_ms, lease_ms, stale_ms, retention_ms, tombstone_ms, limit, by? (<worker|clock|stock> <its owner id>),
--       spare_ms? (do nothing where another worker ticked less than this ago), patience_ms (as in owner_reap.lua)
-- Reply: {fired, reaped, rung, pruned, next due or '', more ('1'), now, due schedules [name, due, schedule]*,
--        deliveries that are not settled, ms after which the worker that ticked goes on to prune or '', '1' where it
--        was spared (next due is then the end of spare_ms after the last tick), releases whose declarations came into
--        force and are not written [app, declares]*}
-- Atomic because between a timer's look and its effect the wait may be over.
if a.spare_ms then
  local at, by = last_tick()
  if at and by ~= a.by and now - at < a.spare_ms then
    return { 0, 0, 0, 0, int(at + a.spare_ms), '0', int(now), {}, 0, '', '1', {} }
  end
end
-- A removal as the first write (see owner_beat.lua): what a tick prunes is what a server without memory needs.
call('HDEL', ns .. 'suspects', '')
local fired, more_timers = fire_timers()
local reaped = reap_expired()
doorbell.choose_form()
local cursor, pruner = unpack(call('HMGET', ns .. 'meta', 'sweep', 'pruner'))
local rung, next_cursor = sweep_bells(cursor)
call('HSET', ns .. 'meta', 'sweep', next_cursor, 'ticked', int(now) .. ' ' .. (a.by or 'worker'))
do_todo()
local more_lines = tend_limits()
put_standing_right()
local pruned, prune_in = prune_in_turn(pruner)
local schedules = due_schedules()
local undelivered = call('ZCOUNT', ns .. 'deliveries', '-inf', int(now - a.beat_ms))
local first = next_due()
local more = (more_timers or call('LLEN', ns .. 'todo') > 0 or more_lines) and '1' or '0'
local unwritten = declarations.settle()
unasked = fired + reaped + rung + pruned + #unwritten == 0
return { fired, reaped, rung, pruned, first or '', more, int(now), schedules, undelivered, prune_in, '0', unwritten }
