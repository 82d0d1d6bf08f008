-- Purpose: offer a running turn what arrived since it began, at a safe boundary: an effect, its entries and its place
--          recorded with it.
-- Nothing is offered where the agent's policy is another than early: an arrival is for the next turn then. A turn that
-- is a half of one that failed takes no more than its half, or it would fail over the other half again and again.
-- Include: base process journal policies entries turns
-- ARGV: pid, fence, sid, max (entries of one turn, with those it has), row {k, a, b} (the entries go between a and b),
--       rows?
-- Reply: {'arrivals', [[n, body, swallowed]*] as JSON} | {'lost'}
-- Atomic because an entry admitted early and not recorded would be settled unseen by the turn's next run (race 25).
local p = load(a.pid)
if not holds(p, a.fence, a.rows) then return { 'lost' } end
local journal = ns .. 'journal:' .. a.pid
local written = call('HGET', journal, a.row.k)
if written then return { 'arrivals', string.sub(written, #a.row.a + 1, -#a.row.b - 1) } end
apply_rows(a.pid, p, a.rows)
local head = ns .. 'sess:' .. a.sid
local s = fields(head, 'ag', 'half', 'df')
local policy, had, out = policy_of(s.ag), turns.batch_of(a.pid), {}
local numbers, last = {}, had[#had]
local most = math.min(a.max, tonumber(s.half or a.max))
local command = last and string.find(call('HGET', ns .. 'wakes:' .. a.sid, had[1]) or '', '^{"kind":"command"')
local behind = last and '(' .. last .. '-0' or '-'
for _, entry in ipairs(call('XRANGE', ns .. 'inbox:' .. a.sid, behind, '+', 'COUNT', BOUND)) do
  local n, kind = string.match(entry[1], '^%d+'), entry[2][2]
  -- A command is alone in its turn: nothing joins it, and nothing behind it comes early.
  if policy.a ~= 'e' or command or kind == 'command' or #had + #numbers >= most then break end
  if admits(policy, kind) then
    numbers[#numbers + 1] = n
    entries.admit(a.sid, n, a.pid)
    local f = call('HMGET', ns .. 'wakes:' .. a.sid, n, n .. ':c')
    out[#out + 1] = '[' .. n .. ',' .. f[1] .. ',' .. (f[2] or '0') .. ']'
  end
end
if #numbers > 0 then
  local early = call('HGET', journal, '@early')
  call('HSET', journal, '@early', (early and early .. ',' or '') .. table.concat(numbers, ','))
  -- What a debounce counts from was the arrival of these; what is left waits anew.
  if s.df then
    local left = call('XRANGE', ns .. 'inbox:' .. a.sid, '(' .. numbers[#numbers] .. '-0', '+', 'COUNT', 1)
    if left[1] then call('HSET', head, 'df', int(now)) else call('HDEL', head, 'df', 'dl') end
  end
end
local arrivals = '[' .. table.concat(out, ',') .. ']'
write_row(a.pid, a.row, arrivals)
progressed(a.pid, p)
return { 'arrivals', arrivals }
