-- Purpose: the execution environment of a content hash.
-- Include: base
-- ARGV: env (hex)
-- Reply: spec (JSON) | '' where it is not kept
-- Atomic because it is one read.
return call('HGET', ns .. 'env:' .. a.env, 's') or ''
