-- Purpose: resolve an await-event slot from outside (a bearer token, a tool's completion). The first resolution wins,
--          and it stays.
-- Include: base letters process keyring record approvals slots
-- ARGV: pid, inc, id, resolution (JSON), expires_ms?, by? (id of the secret that made the token), fits? [hashes of
--       schemas that its value fits], headers? (JSON: what instruments gave who resolves it)
-- Reply: {'accepted'} | {'already', resolution or ''} | {'recheck', schema, hash} | {'unknown'} (unknown, revoked,
--        expired, of an ended process or a cancelled turn: one answer)
-- Atomic because two resolvers must not both be told they were first.
local p = load(a.pid)
if p.inc ~= a.inc or (a.by and not keyring.is_good(a.by)) then return { 'unknown' } end
if ENDED[p.st] or (a.expires_ms and a.expires_ms <= now) then
  -- A second answer is told so while the process is there, with any outcome of the first one.
  if call('SISMEMBER', ns .. 'answered:' .. a.pid, a.id) == 1 then return { 'already', '' } end
  return { 'unknown' }
end
local slot = read_slot(a.id)
if slot.r then return { 'already', slot.r } end
-- A turn's questions are revoked with the request to cancel it, whether it has begun to wait for them or not.
if slot.z or (p.k == 's' and p.cr) then return { 'unknown' } end
local fits = not slot.sh
for _, hash in ipairs(a.fits or {}) do fits = fits or hash == slot.sh end
if not fits then
  local schema = call('GET', ns .. 'schema:' .. slot.sh)
  if schema then return { 'recheck', schema, slot.sh } end
end
if slot.g then
  local w = slot.p == a.pid and record.open(a.pid, p)
  resolve(a.id, a.resolution, nil, w, slot)
  if w then record.write(w) end
else
  -- No body waits yet: the answer is kept for the wait that will come.
  call('HSET', slot_key(a.id), 'p', a.pid, 'k', WAIT.completion, 'r', a.resolution)
  if a.headers then call('HSET', slot_key(a.id), 'hs', a.headers) end
  call('SADD', ns .. 'waits:' .. a.pid, a.id)
  approvals.close(a.id, slot)
end
call('SADD', ns .. 'answered:' .. a.pid, a.id)
-- A second answer by its id is told when the first one was, also once its slot is gone.
if approvals.is_one(slot) then call('SET', ns .. 'answer:' .. a.id, int(now), 'PX', '604800000') end -- 7 days
return { 'accepted' }
