-- Purpose: have the server say whether it takes writes, and what ticked last; the write changes nothing.
-- Include: base
-- ARGV: format
-- Reply: {'writable', now, the last tick (when, and what ticked) or ''}
-- Errors: the server's own, where it refuses.
-- Atomic because the field is there, so nothing can come of it in between.
unasked = true
call('HSETNX', ns .. 'meta', 'format', a.format)
return { 'writable', int(now), call('HGET', ns .. 'meta', 'ticked') or '' }
