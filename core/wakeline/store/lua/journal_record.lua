-- Purpose: record the outcome of one effect, fenced. What is recorded never runs again.
-- Include: base process approvals slots journal
-- ARGV: pid, fence, rows [{k, v, s?}], asks? [{id, kind ('x:<name>'), schema? {hash, text}, due_ms?,
--       event? (approval.requested, JSON)}] (questions whose tokens are handed out before anything waits for an answer)
-- Reply: {'recorded'} | {'lost'}
-- Atomic because a row without its slots' end would let a second wait swallow the next signal (race 4).
local p = load_run(a.pid)
if not holds(p, a.fence, a.rows) then return { 'lost' } end
apply_rows(a.pid, p, a.rows)
-- An answer may come before its wait: what it has to be is known from here on. Among the closed ones, as nothing waits
-- for it yet: no cancel answers it. It has no timer: what is due is not answered, and the wait opens with its timer.
for _, ask in ipairs(a.asks or {}) do
  if call('EXISTS', slot_key(ask.id)) == 0 then
    local entry = { 'p', a.pid, 'k', ask.kind }
    local function put(field, value) if value then entry[#entry + 1] = field; entry[#entry + 1] = value end end
    put('d', ask.due_ms and int(ask.due_ms)); put('sh', ask.schema and ask.schema.hash); put('q', ask.event and '1')
    call('HSET', slot_key(ask.id), unpack(entry))
    call('SADD', ns .. 'closed:' .. a.pid, ask.id)
    if ask.schema then keep_schema(ask.schema) end
    if ask.event then approvals.ask(a.pid, p, ask.id, ask.event) end
  end
end
return { 'recorded' }
