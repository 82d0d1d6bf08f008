-- Purpose: introduce a client to the namespace: its shared secret and the format of its keys.
-- Include: base
-- ARGV: secret (used if there is none yet), format (of this client), rq (RQ's key prefix of this client)
-- Reply: {secret, format, rq prefix}
-- Errors: none
-- Atomic because two first clients must agree on one secret.
call('SET', ns .. 'secret', a.secret, 'NX')
call('HSETNX', ns .. 'meta', 'format', a.format)
call('HSETNX', ns .. 'meta', 'rq', a.rq)
local meta = fields(ns .. 'meta', 'format', 'rq')
return { call('GET', ns .. 'secret'), meta.format, meta.rq }
