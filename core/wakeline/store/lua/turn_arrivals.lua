-- Purpose: offer a running turn what arrived since it began, at a safe boundary: an effect, its entries and its place recorded with it.
-- Nothing is offered where the agent's policy is another than early: an arrival is for the next turn then.
-- Include: base doorbell process slots sessions
-- ARGV: pid, fence, sid, max, row {k, a, b} (the entries go between a and b), rows?
-- Reply: {'arrivals', [[n, body, swallowed]*] as JSON} | {'lost'}
-- Atomic because an entry admitted early and not recorded would be settled unseen by the turn's next run (race 25).
local p = load(a.pid)
if not holds(p, a.fence) then return { 'lost' } end
local journal = ns .. 'journal:' .. a.pid
local written = call('HGET', journal, a.row.k)
if written then return { 'arrivals', string.sub(written, #a.row.a + 1, -#a.row.b - 1) } end
apply_rows(a.pid, p, a.rows)
local policy, had, out = policy_of(call('HGET', ns .. 'sess:' .. a.sid, 'ag')), batch_of(a.pid), {}
local numbers, last = {}, had[#had]
local command = last and string.find(call('HGET', ns .. 'wakes:' .. a.sid, had[1]) or '', '^{"kind":"command"')
for _, entry in ipairs(call('XRANGE', ns .. 'inbox:' .. a.sid, last and '(' .. last .. '-0' or '-', '+', 'COUNT', BOUND)) do
  local n, kind = string.match(entry[1], '^%d+'), entry[2][2]
  -- A command is alone in its turn: nothing joins it, and nothing behind it comes early.
  if policy.a ~= 'e' or command or kind == 'command' or #had + #numbers >= a.max then break end
  if admits(policy, kind) then
    numbers[#numbers + 1] = n
    admit(a.sid, n, a.pid)
    local f = call('HMGET', ns .. 'wakes:' .. a.sid, n, n .. ':c')
    out[#out + 1] = '[' .. n .. ',' .. f[1] .. ',' .. (f[2] or '0') .. ']'
  end
end
if #numbers > 0 then
  local early = call('HGET', journal, '@early')
  call('HSET', journal, '@early', (early and early .. ',' or '') .. table.concat(numbers, ','))
end
local entries = '[' .. table.concat(out, ',') .. ']'
write_row(a.pid, a.row, entries)
progressed(a.pid, p)
return { 'arrivals', entries }
