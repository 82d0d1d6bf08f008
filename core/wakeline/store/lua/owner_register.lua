-- Purpose: a worker start introduces itself under a fresh random id.
-- Include: base
-- ARGV: owner, lease_ms, queues
-- Reply: {'registered', now}
-- Atomic because an owner without an expiry is never reaped (race 3).
call('ZADD', ns .. 'owners', int(now + a.lease_ms), a.owner)
for _, queue in ipairs(a.queues) do call('SADD', ns .. 'listens:' .. a.owner, queue) end
return { 'registered', int(now) }
