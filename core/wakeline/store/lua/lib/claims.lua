-- Claiming: queued and of the doorbell's epoch, or nothing. The reply carries all a worker needs to run without another read.
local REPLY_BYTES = 65536

local function claim(pid, p, owner, claim_id, stock)
  local key = proc_key(pid)
  call('HSET', key, 'st', 'running', 'ow', owner, 'cl', claim_id, 'ct', int(now), 'sn', int(now), unpack(stock and {} or { 'rw', '1' }))
  if p.rg then call('HDEL', key, 'rg') end
  if not stock then rq_begin(pid, p.ep, p.q, owner, claim_id) end
  call('SADD', ns .. 'owned:' .. owner, pid)
  if p.qt then call('ZREM', ns .. 'timers', 'q:' .. pid) end
  move_index(pid, 'queued', 'running', now)
  if p.to then call('ZADD', ns .. 'timers', int(now + tonumber(p.to)), 'a:' .. pid) end
end

-- {pid, process fields, registration, input of this generation or '', journal, slots [id, fields]*, complete?, now}
local function claimed(pid, p, budget)
  local state = call('HGETALL', proc_key(pid))
  local spec = call('GET', ns .. 'spec:' .. pid)
  local input = p.gen and call('GET', ns .. 'input:' .. pid) or ''
  local used = #spec + #input + tonumber(p.jb or '0')
  if not p.fs then return { pid, state, spec, input, {}, {}, '1', int(now) }, used end -- nothing of it ran yet: no journal, no slots
  local ids = call('SMEMBERS', ns .. 'waits:' .. pid)
  if used > budget or #ids > BOUND then return { pid, state, spec, input, {}, {}, '0', int(now) }, #spec + #input end
  local slots = {}
  for _, id in ipairs(ids) do slots[#slots + 1] = { id, call('HGETALL', slot_key(id)) } end
  return { pid, state, spec, input, call('HGETALL', ns .. 'journal:' .. pid), slots, '1', int(now) }, used
end
