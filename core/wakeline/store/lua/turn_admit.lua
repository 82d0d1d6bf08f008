-- Purpose: fix the batch of a turn at its first claim: pending entries in order, up to max. A later run of the same turn gets the same batch.
-- Include: base doorbell process slots sessions
-- ARGV: pid, fence, sid, max, policy? (the agent's, JSON; '' = the defaults; absent = as known)
-- Reply: {'batch', rev, state JSON or '', [n, body, swallowed]*, frame or '', follow-on turns so far, followed ('1'|'0')} | {'lost'}
-- Atomic because an entry admitted to a turn must not coalesce with a later wake.
local p = load(a.pid)
if not holds(p, a.fence) then return { 'lost' } end
local bodies, journal, head = ns .. 'wakes:' .. a.sid, ns .. 'journal:' .. a.pid, ns .. 'sess:' .. a.sid
local s = fields(head, 'ag', 'half', 'rev', 'fr', 'fo')
-- The release that runs the agent decides what its turns take.
if a.policy and a.policy ~= (call('HGET', ns .. 'agents', s.ag) or '') then
  if a.policy == '' then call('HDEL', ns .. 'agents', s.ag) else call('HSET', ns .. 'agents', s.ag, a.policy) end
end
local batch = call('HGET', journal, '@inbox')
if not batch then
  local policy, numbers = policy_of(s.ag), {}
  local most = math.min(a.max, tonumber(s.half or a.max))
  for _, entry in ipairs(call('XRANGE', ns .. 'inbox:' .. a.sid, '-', '+', 'COUNT', policy.k and BOUND or int(most))) do
    local n, kind = string.match(entry[1], '^%d+'), entry[2][2]
    if not admits(policy, kind) then
      drop(a.sid, n, 'not_admissible')
    else
      if kind == 'command' and #numbers > 0 then break end
      numbers[#numbers + 1] = n
      admit(a.sid, n, a.pid)
      if kind == 'command' or #numbers >= most then break end
    end
  end
  batch = table.concat(numbers, ',')
  call('HDEL', head, 'df', 'dl')
  call('HSET', proc_key(a.pid), 'ma', int(policy.t or 5))
  write_row(a.pid, { k = '@inbox', v = batch })
end
local entries = {}
for n in string.gmatch(batch, '%d+') do
  entries[#entries + 1] = { n, call('HGET', bodies, n) or '', call('HGET', bodies, n .. ':c') or '0' }
end
return { 'batch', s.rev, call('GET', ns .. 'state:' .. a.sid) or '', entries, s.fr or '', s.fo or '0', call('EXISTS', ns .. 'followed:' .. a.sid) == 1 and '1' or '0' }
