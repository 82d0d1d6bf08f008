-- Purpose: open waits, or answer them at once from the journal, an earlier resolution, the mailbox, an ended child, or
--          a settled entry.
-- Include: base letters process record approvals slots mailbox journal cancel
-- ARGV: pid, fence, rows?, waits [{id, key (replay key), group, kind ('s:<name>' | 't:' | 'c:<child>' | 'x:<key>' |
--       'a:<n>:<session>' | 'e:' (the end of all children that its own end waits for)), ordinal?, child_inc?, for_ms?
--       or due_ms? (deadline, fixed when first opened), schema? {hash, text}, question? (an approval, of kind x), also?
--       (of a signal: the other names that it has or had), event? (of an approval that was asked without one: its
--       approval.requested, JSON)}]
-- Reply: {'waits', [{'open', due or ''} | {'done', resolution, kept? ('1': its slot has it)} | {'journaled', row}]*} |
--        {'lost'}
-- Atomic because a signal or an end between the look and the opening would be missed; journaled or given-up waits are
--        never opened again (race 4).
local p = load(a.pid)
if not holds(p, a.fence, a.rows) then return { 'lost' } end
-- What is the first of its process finds no journal, and no slot that only a run could have made; without any event it
-- finds no signal.
local is_first, is_silent = not p.fs and not a.rows, p.seq == '0'
local mine, listed = record.open(a.pid, p), {}
if a.rows then apply_rows(a.pid, p, a.rows) else record.start(mine) end

local function from_child(child, inc)
  local c = fields(proc_key(child), 'st', 'inc', 'seq')
  if not c.st or (inc and c.inc ~= inc) then
    return '{"status":"err","payload":{"code":"process_not_found","message":"the awaited process is not retained"}}'
  end
  if not ENDED[c.st] then return nil end
  local event = call('XREVRANGE', ns .. 'events:' .. child, '+', '-', 'COUNT', 1)
  return '{"status":"ok","value":' .. string.match(event[1][2][4], '^{"await_output":(.*)}$') .. '}'
end

-- What became of an entry of a session's inbox: the output of the turn that had it.
local function from_entry(n, sid)
  local verb, rest = string.match(call('HGET', ns .. 'wakes:' .. sid, n .. ':s') or '', '^(%a+) ?(%S*)')
  if verb == 'settled' or verb == 'failed' then return from_child(rest) end
  if verb == 'undeliverable' then
    return '{"status":"err","payload":{"code":"undeliverable","message":' .. quote(rest) .. '}}'
  end
  if not verb then
    return '{"status":"err","payload":{"code":"entry_not_found","message":"the awaited entry is not kept"}}'
  end
end

local function open(w)
  local row = not is_first and call('HGET', ns .. 'journal:' .. a.pid, w.key)
  if row then return { 'journaled', row } end
  local key, code, name = slot_key(w.id), string.sub(w.kind, 1, 2), string.sub(w.kind, 3)
  local slot = is_first and code ~= WAIT.completion and {} or read_slot(w.id)
  if slot.r then
    if not slot.g then call('HSET', key, 'g', w.group, 'k', w.kind) end -- resolved before anyone waited
    return { 'done', slot.r, '1' }
  end
  -- Given up: by this run, or as a token, which is never good twice. A later run opens a signal's wait anew.
  if slot.z == a.fence.cl or slot.z == '1' then return { 'done', '{"status":"cancelled"}' } end
  if slot.z then call('DEL', key) end
  if w.also then mailbox.link_names(mine, name, w.also) end
  if slot.g and w.also then
    -- Opened by code that knew one name of the signal: it may have come under another since.
    local kept, at, headers = mailbox.take(mine, name, w.also)
    if kept then
      resolve(w.id, kept, at, mine, nil, headers)
      return { 'done', kept, '1' }
    end
  end
  local asks_now = w.event and not approvals.is_one(slot)
  if slot.g and asks_now then approvals.ask(a.pid, p, w.id, w.event, mine) end -- a release before opened it
  if slot.g then return { 'open', slot.d or '' } end
  if code == WAIT.children then
    if call('EXISTS', ns .. 'awaited:' .. a.pid) == 0 then return { 'done', '{"status":"ok","value":null}' } end
    record.set(mine, 'aw', w.id)
    if p.cr then call('RPUSH', ns .. 'todo', LEFT.cancel_children .. a.pid) end
  elseif p.cr and not (code == WAIT.child and cancel.awaits_child(a.pid, name)) then
    -- A client that resolves it from outside later must learn what stands.
    if string.sub(w.kind, 1, 2) == WAIT.completion then
      call('HSET', key, 'p', a.pid, 'g', w.group, 'k', w.kind, 'r', '{"status":"cancelled"}')
      listed[#listed + 1] = w.id
      approvals.close(w.id, slot)
    end
    return { 'done', '{"status":"cancelled"}' }
  end
  local resolution, seq, headers
  if code == WAIT.signal and not is_silent then resolution, seq, headers = mailbox.take(mine, name, w.also) end
  if code == WAIT.child then resolution = from_child(name, w.child_inc) end
  local n, sid = string.match(name, '^(%d+):(.*)$')
  if code == WAIT.answer then resolution = from_entry(n, sid) end
  local entry = { 'p', a.pid, 'g', w.group, 'k', w.kind, 'o', int(now) }
  local function put(field, value) if value then entry[#entry + 1] = field; entry[#entry + 1] = value end end
  put('n', w.ordinal and int(w.ordinal)); put('r', resolution); put('rs', seq); put('hs', headers)
  put('q', w.question and '1')
  if resolution and (code == WAIT.child or code == WAIT.answer) then return { 'done', resolution } end
  local due, bound = w.due_ms, w.for_ms and now + w.for_ms
  if bound and not (due and due < bound) then due = bound end
  if resolution then due = nil end
  put('d', due and int(due)); put('sh', w.schema and w.schema.hash)
  if code == WAIT.completion and not slot.es then put('es', '') end
  call('HSET', key, unpack(entry))
  listed[#listed + 1] = w.id
  -- It was asked before anything waited for it.
  if code == WAIT.completion then call('SREM', ns .. 'closed:' .. a.pid, w.id) end
  if asks_now then approvals.ask(a.pid, p, w.id, w.event, mine) end
  if resolution then return { 'done', resolution, '1' } end
  record.set(mine, 'o:' .. w.group, int(num(record.get(mine, 'o:' .. w.group), 0) + 1))
  if w.schema then keep_schema(w.schema) end
  if due then gather('ZADD', ns .. 'timers', int(due), TIMER.wait .. w.id) end
  if code == WAIT.child then call('SADD', ns .. 'waiters:' .. name, w.id) end
  if code == WAIT.answer then
    local others = call('HGET', ns .. 'wakes:' .. sid, n .. ':a')
    call('HSET', ns .. 'wakes:' .. sid, n .. ':a', others and (others .. ',' .. w.id) or w.id)
  end
  if code == WAIT.signal then
    local others = record.get(mine, 'n:' .. name)
    record.set(mine, 'n:' .. name, others and (others .. ',' .. w.id) or w.id)
  end
  return { 'open', due and int(due) or '' }
end

local out = {}
for i, w in ipairs(a.waits) do out[i] = open(w) end
record.write(mine)
if #listed > 0 then call('SADD', ns .. 'waits:' .. a.pid, unpack(listed)) end
return { 'waits', out }
