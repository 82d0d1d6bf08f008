-- Purpose: record the outcome of one effect, fenced. What is recorded never runs again.
-- Include: base process slots journal
-- ARGV: pid, fence, rows [{k, v, s?}], asks? [{id, schema {hash, text}}] (questions whose tokens are handed out before anything waits for an answer)
-- Reply: {'recorded'} | {'lost'}
-- Atomic because a row without its slots' end would let a second wait swallow the next signal (race 4).
local p = load_run(a.pid)
if not holds(p, a.fence) then return { 'lost' } end
apply_rows(a.pid, p, a.rows)
-- An answer may come before its wait: what it has to be is known from here on. Among the closed ones, as nothing waits for it yet: no cancel answers it.
for _, ask in ipairs(a.asks or {}) do
  if call('EXISTS', slot_key(ask.id)) == 0 then
    call('HSET', slot_key(ask.id), 'p', a.pid, 'k', 'x:', 'sh', ask.schema.hash, 'q', '1')
    call('SADD', ns .. 'closed:' .. a.pid, ask.id)
    call('SET', ns .. 'schema:' .. ask.schema.hash, ask.schema.text, 'PX', SCHEMA_TTL)
  end
end
return { 'recorded' }
