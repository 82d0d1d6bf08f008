-- Purpose: end a process: terminal event, lease, waiters' slots, wake, children, turn and RQ bookkeeping in one step.
-- Include: base process journal inbox history ends
-- ARGV: pid, status (completed|failed|cancelled|abandoned), output (await output JSON), hash, text? (wake input as a
--       JSON string), rows?, fence? (a run), external? (someone outside reports), swallowed? (a parked run whose body
--       went on: fence without claim id), turn? {sid, rev, state?, history [JSON], frame? (the one that begins),
--       follow? (input of the follow-on turn, JSON)} (the commit of a session's turn),
--       headers? (JSON: what instruments give what it wakes or resumes), about? (what else its event says, members of
--       JSON)
-- Reply: {'finished', sequence} | {'already', status, sequence} | {'terminal', status} | {'head', found} | {'lost'} |
--        {'not_external'} | not_found | pruned
-- Atomic because a second terminal event, a stranded waiter or a wake without its end must never exist.
local p = load(a.pid)
if not p.st then return missing(a.pid) end
if ENDED[p.st] then
  local same = call('HGET', proc_key(a.pid), 'fin') == a.status .. ':' .. a.hash
  if same and (a.external or (a.fence and p.cl == a.fence.cl)) then return { 'already', p.st, p.seq } end
  if a.external then return { 'terminal', p.st } end
  return { 'lost' }
end
if a.external then
  if p.k ~= 'x' then return { 'not_external' } end
elseif a.swallowed then
  if not (p.st == 'waiting' and p.inc == a.fence.inc and p.ep == a.fence.ep) then return { 'lost' } end
elseif not holds(p, a.fence, a.rows) then
  return { 'lost' }
end
local t = a.turn
if t then
  local frame = call('HGET', ns .. 'sess:' .. p.sid, 'fr')
  local revision, found = commit(p.sid, t.rev, t.history or {}, frame, t.state, a.pid)
  if not revision then return { 'head', found } end
  if t.frame then
    call('HSETNX', ns .. 'frames:' .. p.sid, t.frame, int(now))
    call('HSET', ns .. 'sess:' .. p.sid, 'fr', t.frame)
  end
  if t.follow then
    call('HINCRBY', ns .. 'sess:' .. p.sid, 'fo', 1)
    p.follows = true
  end
end
if a.rows and #a.rows > 0 then apply_rows(a.pid, p, a.rows) end
local seq = finish(a.pid, p, a.status, a.output, a.text, a.status .. ':' .. a.hash, a.about)
-- Only now: an entry that arrives during a turn may interrupt it.
if t and t.follow then
  local body = wake_body(a.pid, p.inc, seq, 'process.' .. a.status, t.follow, 'session:' .. p.sid)
  deliver(p.sid, 'follow_on', body)
end
return { 'finished', seq }
