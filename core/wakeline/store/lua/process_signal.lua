-- Purpose: send a signal: replay check, append, choose the slot, resolve it, make the process runnable.
-- Include: base doorbell process limits slots
-- ARGV: pid, inc (whose types the sender checked), name, signal_id, replay_key, hash, payload (JSON), schema? (hash of the schema it was checked against),
--       limit (mailbox), refused? ('undeclared' | 'misfit': by what the sender knows; a wait that another release opened may know better), sender? {fence {pid, inc, ep, cl}, row, rows}
-- Reply: {'accepted', sequence, 'slot'|'mail'} | {'replayed', sequence} | {'conflict'} | {'terminal', status} | {'full'} | {'refused'} | {'recheck', schema} | {'stale', inc} | {'lost'} | not_found | pruned
-- Atomic because between choosing a slot and resolving it a second sender would choose the same one.
local s = a.sender
local from
if s then
  from = load(s.fence.pid)
  if not holds(from, s.fence) then return { 'lost' } end
end
local function record(seq)
  if not s then return end
  apply_rows(s.fence.pid, from, s.rows)
  write_row(s.fence.pid, s.row, seq)
end
local p = load(a.pid)
if not p.st then return missing(a.pid) end
if a.inc and p.inc ~= a.inc then return { 'stale', p.inc } end
local field = 'signal.' .. a.name .. ':' .. a.signal_id
local known = call('HGET', ns .. 'replay:' .. a.pid, field)
if known then
  local seq, hash = string.match(known, '^(%d+):(.*)$')
  if hash ~= a.hash then return { 'conflict' } end
  record(seq)
  return { 'replayed', seq }
end
if ENDED[p.st] then return { 'terminal', p.st } end
-- Oldest open wait of this name, else the mailbox.
local open = string.match(call('HGET', proc_key(a.pid), 'n:' .. a.name) or '', '^[^,]+')
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
call('HSET', ns .. 'replay:' .. a.pid, field, seq .. ':' .. a.hash)
record(seq)
if open then
  resolve(open, '{"status":"ok","value":' .. a.payload .. '}', seq, p)
  return { 'accepted', seq, 'slot' }
end
call('RPUSH', ns .. 'mail:' .. a.pid, a.name .. ':' .. seq)
return { 'accepted', seq, 'mail' }
