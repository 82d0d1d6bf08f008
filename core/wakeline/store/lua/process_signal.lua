-- Purpose: send a signal: replay check, append, choose the slot, resolve it, make the process runnable.
-- Include: base log process slots mailbox journal
-- ARGV: pid, inc (whose types the sender checked), name, signal_id, replay_key, hash, payload (JSON), schema? (hash of
--       the schema it was checked against), also? [{name, hash}] (other names that its sender knows the signal by),
--       limit (mailbox), refused? ('undeclared' | 'misfit': by what the sender knows; a wait that another release
--       opened may know better), sender? {fence {pid, inc, ep, cl}, row, rows}
-- Reply: {'accepted', sequence, 'slot'|'mail'} | {'replayed', sequence} | {'conflict'} | {'terminal', status} |
--        {'full'} | {'refused'} | {'recheck', schema} | {'stale', inc} | {'lost'} | not_found | pruned
-- Atomic because between choosing a slot and resolving it a second sender would choose the same one.
local s = a.sender
local from
if s then
  from = load(s.fence.pid)
  if not holds(from, s.fence, s.rows) then return { 'lost' } end
end
local function record(seq)
  if not s then return end
  apply_rows(s.fence.pid, from, s.rows)
  write_row(s.fence.pid, s.row, seq)
end
local p = load(a.pid)
if not p.st then return missing(a.pid) end
if a.inc and p.inc ~= a.inc then return { 'stale', p.inc } end
-- One signal, whichever of its names it is sent under: a resend of another release is known by the other one.
local sent, others = { { name = a.name, hash = a.hash } }, {}
for i, other in ipairs(a.also or {}) do sent[i + 1], others[i] = other, other.name end
for _, as in ipairs(sent) do
  as.field = 'signal.' .. as.name .. ':' .. a.signal_id
  local known = call('HGET', ns .. 'replay:' .. a.pid, as.field)
  if known then
    local seq, hash = string.match(known, '^(%d+):(.*)$')
    if hash ~= as.hash then return { 'conflict' } end
    record(seq)
    return { 'replayed', seq }
  end
end
if ENDED[p.st] then return { 'terminal', p.st } end
-- Oldest open wait of this name, else the mailbox.
local open = mailbox.open_wait(a.pid, a.name, others)
local wanted = open and call('HGET', slot_key(open), 'sh')
if a.refused and not (open and (wanted or a.refused == 'undeclared')) then return { 'refused' } end
if open then
  if wanted and wanted ~= (a.schema or '') then
    local schema = call('GET', ns .. 'schema:' .. wanted)
    if schema then return { 'recheck', schema, wanted } end
    if a.refused then return { 'refused' } end
  end
elseif call('LLEN', ns .. 'mail:' .. a.pid) >= a.limit then
  return { 'full' }
end
local seq = append(a.pid, p, 'signal.' .. a.name, a.payload, a.replay_key)
for _, as in ipairs(sent) do call('HSET', ns .. 'replay:' .. a.pid, as.field, seq .. ':' .. as.hash) end
record(seq)
if open then
  resolve(open, '{"status":"ok","value":' .. a.payload .. '}', seq, p)
  return { 'accepted', seq, 'slot' }
end
mailbox.link_names(a.pid, a.name, others)
call('RPUSH', ns .. 'mail:' .. a.pid, a.name .. ':' .. seq)
return { 'accepted', seq, 'mail' }
