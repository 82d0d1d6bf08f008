-- Purpose: whether the store still has what it answered to a client, and whether the namespace is still the one that
--          the client knows.
-- Include: base
-- ARGV: client, keep_ms? (for how long its row is kept from now on)
-- Reply: {how many of its writes are here, id of the namespace's secret or ''}
-- Errors: none
-- Atomic only for a consistent look.
unasked = true
local key = ns .. 'acked:' .. a.client
if a.keep_ms then call('PEXPIRE', key, a.keep_ms) end
return { call('HGET', key, 'n') or '0', call('HGET', ns .. 'keyring', 'id') or '' }
