-- Purpose: keep an execution environment under its content hash.
-- Include: base
-- ARGV: env (hex), spec (JSON), unused_ms
-- Reply: {'put'}
-- Atomic because an environment that a process began to use meanwhile must not get an expiry.
local key = ns .. 'env:' .. a.env
call('HSETNX', key, 's', a.spec)
if call('HEXISTS', key, 'n') == 0 then call('PEXPIRE', key, int(a.unused_ms)) end
return { 'put' }
