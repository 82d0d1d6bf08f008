-- Keyring: the secrets of a namespace. `secret` makes tokens now, in hex. `keyring` holds its id (id), the secret
-- before it (previous), the id of that (old), until when its tokens are good (until), and the secret before the first
-- rotation (first).
-- Needs: base
local keyring = {}

local FIELDS = { 'id', 'previous', 'old', 'until', 'first' }

-- The same as secret_id in Python: it tells secrets apart and proves nothing. Nil for what is no secret of ours.
function keyring.id_of(secret)
  if not secret or #secret ~= 64 or string.find(secret, '[^0-9a-f]') then return nil end
  return string.sub(redis.sha1hex(secret), 1, 12)
end

function keyring.read() return fields(ns .. 'keyring', unpack(FIELDS)) end

-- Whether what the previous secret made is still good.
function keyring.overlaps(secrets) return secrets.previous and now < tonumber(secrets['until']) end

-- Whether tokens that the secret of this id made are good.
function keyring.is_good(id)
  local secrets = keyring.read()
  return id == secrets.id or (id == secrets.old and keyring.overlaps(secrets))
end
