-- Purpose: claim one process by its doorbell, under a stock RQ worker that already popped the job.
-- Include: base claims lines
-- ARGV: pid, epoch, owner, claim_id, lease_ms, release? (of the code that will run it), seen? (instruments see the run)
-- Reply: {'claimed', claim} | {'stale'} (another epoch, running, ended or gone: nothing to do) | {'reaped'}
-- Atomic because of two workers with one doorbell only one may run.
local expiry = call('ZSCORE', ns .. 'owners', a.owner)
if not expiry then return { 'reaped' } end
call('ZADD', ns .. 'owners', int(now + a.lease_ms), a.owner)
if tonumber(expiry) <= now then call('HDEL', ns .. 'suspects', a.owner) end -- it may have been seen expired
local p = load_whole(a.pid)
if p.st == 'running' and p.ow == a.owner and p.cl == a.claim_id then
  return { 'claimed', (claimed(a.pid, p, REPLY_BYTES)) }
end
if p.st ~= 'queued' or p.ep ~= a.epoch then return { 'stale' } end
if kept_back(a.pid, p) then return { 'stale' } end
claim(a.pid, p, a.owner, a.claim_id, a.release, a.seen)
return { 'claimed', (claimed(a.pid, p, REPLY_BYTES)) }
