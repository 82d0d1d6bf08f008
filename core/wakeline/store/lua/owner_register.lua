-- Purpose: a worker start introduces itself under a fresh random id.
-- Include: base doorbell
-- ARGV: owner, lease_ms, queues, limits? {name: JSON, '' for none}, agents? {name: what its turns take, '' for the defaults}, app? (its name), release? (of its code)
-- Reply: {'registered', now, when it was ticked last or ''} | {'conflict', agent, app} (a live worker of another app runs that agent)
-- Atomic because an owner without an expiry is never reaped (race 3), and of two apps that both start one must see the other.
if a.app and a.agents then
  local rows = call('HGETALL', ns .. 'apps')
  for i = 1, #rows, 2 do
    local app, theirs = string.match(rows[i + 1], '^(%S+) (.*)$')
    local expiry = tonumber(call('ZSCORE', ns .. 'owners', rows[i]) or '0')
    for agent in pairs(app ~= a.app and expiry > now and a.agents or {}) do
      if theirs and string.find(theirs, ',' .. agent .. ',', 1, true) then return { 'conflict', agent, app } end
    end
  end
  local names = ','
  for agent in pairs(a.agents) do names = names .. agent .. ',' end
  call('HSET', ns .. 'apps', a.owner, a.app .. ' ' .. names)
end
call('ZADD', ns .. 'owners', int(now + a.lease_ms), a.owner)
call('HDEL', ns .. 'suspects', a.owner)
call('HSET', ns .. 'leases', a.owner, int(a.lease_ms))
call('HSET', ns .. 'knows', a.owner, '2')
choose_form()
if a.release then call('HSET', ns .. 'releases', a.owner, a.release) end
for _, queue in ipairs(a.queues) do call('SADD', ns .. 'listens:' .. a.owner, queue_of(queue)) end
for agent, policy in pairs(a.agents or {}) do
  if policy == '' then call('HDEL', ns .. 'agents', agent) else call('HSET', ns .. 'agents', agent, policy) end
end
for name, limit in pairs(a.limits or {}) do
  if limit == '' then call('HDEL', ns .. 'limits', name) else call('HSET', ns .. 'limits', name, limit) end
end
local ticked = last_tick()
return { 'registered', int(now), ticked and int(ticked) or '' }
