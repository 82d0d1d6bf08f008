-- The secrets of a namespace. `secret` is the one that makes tokens now, in hex; `keyring` holds its id (id), the one before it (previous), that one's
-- id (old) and until when what it made is good (until), and the one before the first rotation (first).
local KEYRING = { 'id', 'previous', 'old', 'until', 'first' }

-- As Python's secret_id: told apart, not trusted. Nil for what is no secret of ours.
local function secret_id(secret)
  if not secret or #secret ~= 64 or string.find(secret, '[^0-9a-f]') then return nil end
  return string.sub(redis.sha1hex(secret), 1, 12)
end

local function keyring() return fields(ns .. 'keyring', unpack(KEYRING)) end

-- Whether what the previous secret made is still good.
local function overlaps(ring) return ring.previous and now < tonumber(ring['until']) end

-- Whether tokens that the secret of this id made are good.
local function secret_is_good(id)
  local ring = keyring()
  return id == ring.id or (id == ring.old and overlaps(ring))
end
