-- Environments: execution environments are shared by content. Each counts the processes that were started with it and
-- goes with the last of them.
-- `use_environment` is false where a process names an environment that is not here.
-- Needs: base
local function use_environment(pid, env)
  local key = ns .. 'env:' .. env.id
  if env.spec then call('HSETNX', key, 's', env.spec) end
  if call('HEXISTS', key, 's') == 0 then return false end
  call('HINCRBY', key, 'n', 1)
  call('PERSIST', key)
  call('HSET', proc_key(pid), 'env', env.id)
  return true
end

local function leave_environment(id)
  if id and call('HINCRBY', ns .. 'env:' .. id, 'n', -1) <= 0 then call('DEL', ns .. 'env:' .. id) end
end
