-- Places: a limit on how many run at once.
-- Needs: base limits
local places = {}

-- Whether a process got the place.
function places.give(limit, at_head)
  if limits.stands_still(limit) then return false end
  local pid, p = limits.next_of(ns .. 'held:' .. limit, 'hd', limit)
  if not pid then
    if call('EXISTS', ns .. 'held:' .. limit) == 0 then call('SREM', ns .. 'holding', limit) end
    return false
  end
  call('SADD', ns .. 'holds:' .. limit, pid)
  call('ZADD', ns .. 'given', int(now), pid)
  call('HSET', proc_key(pid), 'lm', limit)
  limits.offer(pid, p, at_head)
  return true
end

function places.leave(pid, p)
  call('HDEL', proc_key(pid), 'lm')
  for limit in string.gmatch(p.lm, '%S+') do
    call('SREM', ns .. 'holds:' .. limit, pid)
    places.give(limit, true)
  end
  p.lm = nil
end
