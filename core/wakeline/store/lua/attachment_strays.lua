-- Purpose: which of the places that a backend has are unknown here, and whether anything is known here at all.
-- Include: base attachments
-- ARGV: places [[place, id]]
-- Reply: {[place]*, attachments known, now}
-- Atomic because an upload is noted before its bytes are there, and kept in one step.
local strays = {}
for _, one in ipairs(a.places) do
  local place, id = one[1], one[2]
  local known = call('HGET', att_key(id), 'l') == place
    or call('ZSCORE', ns .. 'uploads', place) or call('ZSCORE', ns .. 'condemned', place)
  if not known then strays[#strays + 1] = place end
end
return { strays, call('ZCARD', ns .. 'attachments') + call('ZCARD', ns .. 'uploads'), int(now) }
