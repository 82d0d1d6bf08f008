-- Leases: the tick gives up owners whose leases are over.
-- Needs: base reap

-- Each owner has a lease of its own. That of another release, or under another setting, may be longer than the one that
-- this worker was told.
local function lease_of(owner) return num(call('HGET', ns .. 'leases', owner), a.lease_ms) end

-- An owner is seen expired twice, one beat apart, before anything is taken from it: after an outage of Redis the whole
-- fleet looks dead (race 29). Returns how many owners were reaped.
local function reap_expired()
  local reaped = 0
  local beyond = int(now + a.lease_ms * 2 + 1)
  local ahead = call('ZREVRANGEBYSCORE', ns .. 'owners', '+inf', beyond, 'WITHSCORES', 'LIMIT', 0, 64)
  for i = 1, #ahead, 2 do
    local lease = lease_of(ahead[i])
    -- The clock jumped back (race 27).
    if tonumber(ahead[i + 1]) > now + lease * 2 then call('ZADD', ns .. 'owners', int(now + lease), ahead[i]) end
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
