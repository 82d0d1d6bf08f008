-- Purpose: say what became of a reserved delivery that no start settled: it cannot be started, or its process ran
--          already.
-- Include: base triggers
-- ARGV: occ, sub, state (started | failed CODE MESSAGE | reserved: looked at in vain, others have their turn first),
--       kept_ms
-- Reply: {'settled'} | {'same'} (settled before, or still reserved)
-- Atomic because the last delivery decides how long the occurrence is kept.
if a.state == 'reserved' then
  call('ZADD', ns .. 'deliveries', 'XX', int(now), a.occ .. ' ' .. a.sub)
  return { 'same' }
end
return { settle_delivery(a.occ, a.sub, a.state, a.kept_ms) and 'settled' or 'same' }
