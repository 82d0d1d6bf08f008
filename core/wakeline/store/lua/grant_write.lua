-- Purpose: grant, revoke or transfer handles of processes.
-- Include: base
-- ARGV: verb (grant|revoke|transfer), scope, pids, descriptor? (JSON, grant), to? (transfer)
-- Reply: {'done'} | {'not_granted', pid} (transfer: nothing was moved) | not_found | pruned
-- Atomic because a transfer is all or nothing.
local from = ns .. 'grants:' .. a.scope
if a.verb ~= 'revoke' then
  for _, pid in ipairs(a.pids) do
    if call('EXISTS', proc_key(pid)) == 0 then return missing(pid) end
    if a.verb == 'transfer' and call('HEXISTS', from, pid) == 0 then return { 'not_granted', pid } end
  end
end
-- The scopes of a session that ever held a handle, opened frames or not: its deletion goes through them.
if a.verb ~= 'revoke' then
  local to = a.to or a.scope
  -- A scope's id escapes the key of its session (SessionScope.scope_id).
  local sid = string.gsub(string.match(to, '^session:([^/]+/?[^/]*)'), '%%2([5F])', { ['5'] = '%', F = '/' })
  call('SADD', ns .. 'scopes:' .. sid, to)
end
for _, pid in ipairs(a.pids) do
  if a.verb == 'grant' then
    call('HSET', from, pid, a.descriptor)
    call('SADD', ns .. 'granted:' .. pid, a.scope)
  else
    local descriptor = call('HGET', from, pid)
    call('HDEL', from, pid)
    call('SREM', ns .. 'granted:' .. pid, a.scope)
    if a.verb == 'transfer' then
      call('HSET', ns .. 'grants:' .. a.to, pid, descriptor)
      call('SADD', ns .. 'granted:' .. pid, a.to)
    end
  end
end
return { 'done' }
