-- Purpose: the handles granted to a scope, or the scopes a process is granted to.
-- Include: base
-- ARGV: scope? or pid?, live? (leave out ended processes)
-- Reply: {[pid, descriptor, status]*} | {[scope]*}
-- Atomic because status and grant must be of one moment.
if a.pid then return call('SMEMBERS', ns .. 'granted:' .. a.pid) end
local out, all = {}, call('HGETALL', ns .. 'grants:' .. a.scope)
for i = 1, #all, 2 do
  local status = call('HGET', proc_key(all[i]), 'st') or ''
  if not (a.live and ENDED[status]) then out[#out + 1] = { all[i], all[i + 1], status } end
end
return out
