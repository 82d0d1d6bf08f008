-- Purpose: have workers leave a queue alone, or take from it again.
-- Include: base routes hints
-- ARGV: queue (RQ's name), paused ('1'|'0')
-- Reply: {'1'|'0'} (whether that changed anything)
-- Atomic because a worker that waits idle at a queue that is taken from again has to be told.
if a.paused == '1' then return { call('SADD', ns .. 'paused', a.queue) == 1 and '1' or '0' } end
local was = call('SREM', ns .. 'paused', a.queue) == 1
local waiting = call('LLEN', rq .. ':queue:' .. a.queue)
if waiting > 0 then routes.rings(a.queue) end
for _ = 1, math.min(16, waiting) do hints.wake_idle(a.queue) end
return { was and '1' or '0' }
