-- Triggers: occurrences and their deliveries. occ:<id>: "src" source, "sk" source key, "ik" key, "h" content hash, "p"
-- payload, "at", "n" deliveries not settled, "d:<sub>" the subscription of one that is reserved, "s:<sub>" its state:
-- reserved | started | failed CODE MESSAGE.
-- Where a stand-in is the payload, a "+" stands before each subscription: a release that does not know such payloads
-- cannot read it, and leaves the delivery to one that does.
-- `deliveries` holds every reserved one as "<occ> <sub>" by time, so that the worker that ticks can do what its emitter
-- did not.
-- Needs: base

local function reserve(occ, id, sub)
  call('HSET', ns .. 'occ:' .. occ, 's:' .. id, 'reserved', 'd:' .. id, sub)
  call('HINCRBY', ns .. 'occ:' .. occ, 'n', 1)
  call('ZADD', ns .. 'deliveries', int(now), occ .. ' ' .. id)
end

-- The last delivery of an occurrence to be settled lets it be forgotten after its time.
local function settle_delivery(occ, id, state, kept_ms)
  local key = ns .. 'occ:' .. occ
  if call('HGET', key, 's:' .. id) ~= 'reserved' then return false end
  call('HSET', key, 's:' .. id, state)
  call('HDEL', key, 'd:' .. id)
  call('ZREM', ns .. 'deliveries', occ .. ' ' .. id)
  if call('HINCRBY', key, 'n', -1) <= 0 then call('PEXPIRE', key, int(kept_ms)) end
  return true
end

-- Removes a subscription; true if there was one.
local function unsubscribe(source, id)
  local subs = ns .. 'subs:' .. source
  local owner = call('HGET', subs, id .. ':o')
  if owner then call('SREM', ns .. 'subscribed:' .. owner, source .. ' ' .. id) end
  local there = call('HDEL', subs, id, id .. ':h', id .. ':r', id .. ':e', id .. ':k', id .. ':o') > 0
  if call('EXISTS', subs) == 0 then call('SREM', ns .. 'sources', source) end
  return there
end
