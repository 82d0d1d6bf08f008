-- Claiming: queued and of the doorbell's epoch, or nothing. The reply carries all a worker needs to run without another read.
local REPLY_BYTES = 65536

local function claim(pid, p, owner, claim_id, stock)
  local key = proc_key(pid)
  call('HSET', key, 'st', 'running', 'ow', owner, 'cl', claim_id, 'ct', int(now), 'sn', int(now))
  call('HDEL', key, 'rg')
  if not stock then
    call('HSET', key, 'rw', '1')
    rq_begin(pid, p.ep, p.q, owner, claim_id)
  end
  call('SADD', ns .. 'owned:' .. owner, pid)
  call('ZREM', ns .. 'timers', 'q:' .. pid)
  move_index(pid, 'queued', 'running', now)
  local limit = call('HGET', key, 'to')
  if limit then call('ZADD', ns .. 'timers', int(now + tonumber(limit)), 'a:' .. pid) end
end

-- {pid, process fields, registration, input of this generation or '', journal, slots [id, fields]*, complete?, now}
local function claimed(pid, budget)
  local state = call('HGETALL', proc_key(pid))
  local spec = call('GET', ns .. 'spec:' .. pid)
  local input = call('GET', ns .. 'input:' .. pid) or ''
  local used = #spec + #input + tonumber(call('HGET', proc_key(pid), 'jb') or '0')
  local ids = call('SMEMBERS', ns .. 'waits:' .. pid)
  if used > budget or #ids > BOUND then return { pid, state, spec, input, {}, {}, '0', int(now) }, #spec + #input end
  local slots = {}
  for _, id in ipairs(ids) do slots[#slots + 1] = { id, call('HGETALL', slot_key(id)) } end
  return { pid, state, spec, input, call('HGETALL', ns .. 'journal:' .. pid), slots, '1', int(now) }, used
end
