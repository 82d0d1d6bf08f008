-- Leases: the tick gives up owners whose leases are over.
-- Needs: base reap

-- By each one's own lease: that of another release, or under another setting, may be longer than what this worker was told.
local function lease_of(owner) return num(call('HGET', ns .. 'leases', owner), a.lease_ms) end

-- Owners: seen expired twice, one beat apart, before anything is taken from them: after an outage of Redis the whole fleet looks dead (race 29).
local function reap_expired()
  local reaped = 0
  local ahead = call('ZREVRANGEBYSCORE', ns .. 'owners', '+inf', int(now + a.lease_ms * 2 + 1), 'WITHSCORES', 'LIMIT', 0, 64)
  for i = 1, #ahead, 2 do
    local lease = lease_of(ahead[i])
    if tonumber(ahead[i + 1]) > now + lease * 2 then call('ZADD', ns .. 'owners', int(now + lease), ahead[i]) end -- the clock jumped back (race 27)
  end
  for _, owner in ipairs(call('ZRANGEBYSCORE', ns .. 'owners', '-inf', int(now), 'LIMIT', 0, 16)) do
    local since = num(call('HGET', ns .. 'suspects', owner))
    if not since then
      call('HSET', ns .. 'suspects', owner, int(now))
    elseif since > now then
      call('HSET', ns .. 'suspects', owner, int(now))
    elseif now - since >= a.beat_ms * math.max(1, lease_of(owner) / a.lease_ms) then
      reap(owner, 'owner_lost')
      reaped = reaped + 1
    end
  end
  return reaped
end
