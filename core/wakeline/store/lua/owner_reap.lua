-- Purpose: take back all that a dead owner held; sent by the supervisor that saw its worker die, or by a worker that
--          leaves.
-- Include: base crashes reap
-- ARGV: owner, writer (owner_lost|shutdown), patience_ms (how long losses that are the deploy's fault are not counted),
--       proven? (a run of this owner has ended or parked)
-- Reply: {'reaped', processes handed on [pid]*}
-- Atomic because the owner must be refused from the moment its work is given away (race 13).
if a.proven then crashes.prove(call('HGET', ns .. 'releases', a.owner)) end
local lost = reap(a.owner, a.writer)
if call('ZSCORE', ns .. 'owners', a.owner) then
  -- More than one script may touch: expired and already suspected, so the tick goes on at once.
  call('ZADD', ns .. 'owners', 0, a.owner)
  call('HSET', ns .. 'suspects', a.owner, 0)
end
return { 'reaped', lost }
