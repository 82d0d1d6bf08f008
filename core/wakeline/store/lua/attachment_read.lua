-- Purpose: where an attachment's bytes lie, for one of these owners (none given: for the app itself).
-- Include: base attachments
-- ARGV: id, owners?, stands_in? (only what a stand-in stands for)
-- Reply: {'found', place, media type, size, put at ms} | {'none'}
-- Atomic because it is one read.
local f = fields(att_key(a.id), 'l', 't', 'n', 'at', 'c')
if not f.l or (a.stands_in and not f.c) then return { 'none' } end
local owned = not a.owners
for _, owner in ipairs(a.owners or {}) do owned = owned or call('HEXISTS', att_key(a.id), 'o:' .. owner) == 1 end
if not owned then return { 'none' } end
return { 'found', f.l, f.t, f.n, f.at }
