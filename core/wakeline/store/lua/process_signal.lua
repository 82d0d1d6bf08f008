-- Purpose: send a signal: replay check, append, choose the slot, resolve it, make the process runnable.
-- Include: base process record slots mailbox journal
-- ARGV: pid, inc (whose types the sender checked), name, signal_id, replay_key, hash, payload (JSON), schema? (hash of
--       the schema it was checked against), also? [{name, hash}] (other names that its sender knows the signal by),
--       limit (mailbox), refused? ('undeclared' | 'misfit': by what the sender knows; a wait that another release
--       opened may know better), sender? {fence {pid, inc, ep, cl}, row, rows}, headers? (JSON: what
--       instruments gave its sender)
-- Reply: {'accepted', sequence, 'slot'|'mail'} | {'replayed', sequence} | {'conflict'} | {'terminal', status} |
--        {'full'} | {'refused'} | {'recheck', schema} | {'stale', inc} | {'lost'} | not_found | pruned
-- Atomic because between choosing a slot and resolving it a second sender would choose the same one.
local s = a.sender
local from
if s then
  from = load(s.fence.pid)
  if not holds(from, s.fence, s.rows) then return { 'lost' } end
end
local function note_sent(seq)
  if not s then return end
  apply_rows(s.fence.pid, from, s.rows)
  write_row(s.fence.pid, s.row, seq)
end
local p = s and s.fence.pid == a.pid and from or load(a.pid)
if not p.st then return missing(a.pid) end
if a.inc and p.inc ~= a.inc then return { 'stale', p.inc } end
-- One signal, whichever of its names it is sent under: a resend of another release is known by the other one.
local sent, others = { { name = a.name, hash = a.hash } }, {}
for i, other in ipairs(a.also or {}) do sent[i + 1], others[i] = other, other.name end
local replays = ns .. 'replay:' .. a.pid
for _, as in ipairs(sent) do as.field = 'signal.' .. as.name .. ':' .. a.signal_id end
local function known_as(as)
  local known = call('HGET', replays, as.field)
  if known then
    local seq, hash = string.match(known, '^(%d+):(.*)$')
    if hash ~= as.hash then return { 'conflict' } end
    note_sent(seq)
    return { 'replayed', seq }
  end
end
-- Oldest open wait of this name, else the mailbox.
local w = record.open(a.pid, p)
local open = not ENDED[p.st] and mailbox.open_wait(w, a.name, others)
local slot = open and read_slot(open)
local function refusal()
  if ENDED[p.st] then return { 'terminal', p.st } end
  local wanted = open and slot.sh
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
end
local refused = refusal()
local seq = int(num(p.seq, 0) + 1)
-- Nearly every signal is a new one of one name: its write finds out.
local is_plain = not refused and not sent[2]
local as = sent[1]
if not is_plain or call('HSETNX', replays, as.field, seq .. ':' .. as.hash) == 0 then
  wrote, call = false, noting -- it wrote nothing yet, and what follows is noted again
  for _, one in ipairs(sent) do
    local replayed = known_as(one)
    if replayed then return replayed end
  end
end
if refused then return refused end
record.event(w, 'signal.' .. a.name, a.payload, a.replay_key, nil, a.headers)
if not is_plain then
  for _, as in ipairs(sent) do call('HSET', replays, as.field, seq .. ':' .. as.hash) end
end
if s then
  record.write(w) -- the sender may be the process itself
  note_sent(seq)
end
local where = 'mail'
if open then
  resolve(open, '{"status":"ok","value":' .. a.payload .. '}', seq, w, not s and slot or nil)
  where = 'slot'
else
  mailbox.link_names(w, a.name, others)
  call('RPUSH', ns .. 'mail:' .. a.pid, a.name .. ':' .. seq)
end
record.write(w)
return { 'accepted', seq, where }
