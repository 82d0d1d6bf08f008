-- Purpose: make tokens with a new secret from now on; what the one before made stays good for a while.
-- Include: base keyring
-- ARGV: secret (the new one, in hex), keep_ms (how long the one before stays good; 0: everything that was made before
--       is void at once)
-- Reply: {'rotated', id, until ('' where nothing made before is good)} | {'overlaps', until}: the one before that is
--        still good, and three would be
-- Errors: none
-- Atomic because a client must never see the new secret without the one before.
local secrets, old = keyring.read(), call('GET', ns .. 'secret') or nil
local id = keyring.id_of(a.secret)
if secrets.id == id then return { 'rotated', id, secrets['until'] or '' } end -- sent again
if a.keep_ms > 0 and keyring.overlaps(secrets) then return { 'overlaps', secrets['until'] } end
-- A secret that was altered made no tokens that have to stay good.
local known = keyring.id_of(old) and keyring.id_of(old) == (secrets.id or keyring.id_of(old))
call('HDEL', ns .. 'keyring', 'previous', 'old', 'until')
if known then call('HSETNX', ns .. 'keyring', 'first', old) end
local till = ''
if known and a.keep_ms > 0 then
  till = int(now + a.keep_ms)
  call('HSET', ns .. 'keyring', 'previous', old, 'old', keyring.id_of(old), 'until', till)
end
call('SET', ns .. 'secret', a.secret)
call('HSET', ns .. 'keyring', 'id', id)
return { 'rotated', id, till }
