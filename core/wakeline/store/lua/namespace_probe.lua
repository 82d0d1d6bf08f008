-- Purpose: have the server say whether it takes writes; the write changes nothing.
-- Include: base
-- ARGV: format
-- Reply: {'writable'}
-- Errors: the server's own, where it refuses.
-- Atomic because the field is there, so nothing can come of it in between.
unasked = true
call('HSETNX', ns .. 'meta', 'format', a.format)
return { 'writable' }
