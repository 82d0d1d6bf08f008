-- Purpose: a worker start introduces itself under a fresh random id.
-- Include: base
-- ARGV: owner, lease_ms, queues, agents? {name: what its turns take, '' for the defaults}
-- Reply: {'registered', now}
-- Atomic because an owner without an expiry is never reaped (race 3).
call('ZADD', ns .. 'owners', int(now + a.lease_ms), a.owner)
for _, queue in ipairs(a.queues) do call('SADD', ns .. 'listens:' .. a.owner, queue) end
for agent, policy in pairs(a.agents or {}) do
  if policy == '' then call('HDEL', ns .. 'agents', agent) else call('HSET', ns .. 'agents', agent, policy) end
end
return { 'registered', int(now) }
