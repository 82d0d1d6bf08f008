-- Purpose: ids of one status, latest first, without their rows: what a shortened id is looked for in.
-- Include: base
-- ARGV: status, offset, limit
-- Reply: [pid, score]*
-- Atomic only as every read is.
local out = {}
local page = call('ZREVRANGE', ns .. 'idx:' .. a.status, int(a.offset), int(a.offset + a.limit - 1), 'WITHSCORES')
for i = 1, #page, 2 do out[#out + 1] = { page[i], page[i + 1] } end
return out
