-- Purpose: introduce a client to the namespace: its secrets and the format of its keys.
-- Include: base keyring doorbell
-- ARGV: secret (in hex; used if there was never one), format (of this client), rq (RQ's key prefix of this client)
-- Reply: {format, rq prefix, secret ('' where it is gone), its id as it was made, previous secret, until when, first
--        secret}; '' for what is not there
-- Errors: none
-- Atomic because two first clients must agree on one secret.
unasked = true
local secrets = keyring.read()
if not secrets.id then
  -- A secret of the release before has no id yet. One that is gone is not made anew: every token would be void, and
  -- nothing would say so.
  call('SET', ns .. 'secret', a.secret, 'NX')
  secrets.id = keyring.id_of(call('GET', ns .. 'secret'))
  if secrets.id then call('HSET', ns .. 'keyring', 'id', secrets.id) end
end
if call('HEXISTS', ns .. 'meta', 'bells') == 0 then doorbell.choose_form() end
local meta = fields(ns .. 'meta', 'format', 'rq')
-- Looked at first: a server that takes no writes now still lets everybody look who knows it.
if not (meta.format and meta.rq) then
  call('HSETNX', ns .. 'meta', 'format', a.format)
  call('HSETNX', ns .. 'meta', 'rq', a.rq)
  meta = fields(ns .. 'meta', 'format', 'rq')
end
local previous = keyring.overlaps(secrets) and secrets.previous or ''
local secret = call('GET', ns .. 'secret') or ''
return {
  meta.format, meta.rq, secret, secrets.id or '', previous, secrets['until'] or '', secrets.first or '',
}
