-- Purpose: the attachments of one owner by id, a page of them.
-- Include: base attachments
-- ARGV: owner, limit, after? (the id behind which to go on)
-- Reply: [id, media type, size, owned since ms]*
-- Atomic because it is one read.
local out = {}
local from = a.after and '(' .. a.after or '-'
for _, id in ipairs(call('ZRANGEBYLEX', ns .. 'atts:' .. a.owner, from, '+', 'LIMIT', 0, int(a.limit))) do
  local f = fields(att_key(id), 't', 'n', 'o:' .. a.owner)
  out[#out + 1] = { id, f.t, f.n, f['o:' .. a.owner] }
end
return out
