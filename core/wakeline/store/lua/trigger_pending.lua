-- Purpose: deliveries that were reserved a while ago and are not settled.
-- Include: base
-- ARGV: older_ms, limit
-- Reply: [occ, sub id, sub ('+' before it where the payload is a stand-in), source, source key or '', key, payload,
--        at, headers or '']*
-- Atomic because what is read of a delivery must belong to it.
unasked = true
local out = {}
local older = call('ZRANGEBYSCORE', ns .. 'deliveries', '-inf', int(now - a.older_ms), 'LIMIT', 0, int(a.limit))
for _, member in ipairs(older) do
  local occ, id = string.match(member, '^(%S+) (.*)$')
  local o = fields(ns .. 'occ:' .. occ, 'd:' .. id, 'src', 'sk', 'ik', 'p', 'at', 'hs')
  if o['d:' .. id] then
    out[#out + 1] = { occ, id, o['d:' .. id], o.src, o.sk, o.ik, o.p, o.at, o.hs or '' }
  else
    call('ZREM', ns .. 'deliveries', member)
  end
end
return out
