-- Purpose: start a process: registration, record, index entry and doorbell in one step; a body's start also its journal
--          row.
-- Include: base letters process runnable journal sessions environments triggers
-- ARGV: pid, spec (JSON), hash (content), inc, kind (t|e|s|x), queue, ma?, rc?, delay_ms?, at_ms? (since 1970),
--       deadline_ms?, queue_timeout_ms?, attempt_timeout_ms? (all others from now), parent?, by? (who its chain began
--       with, where it was no plain host), limit? (the one it is under), version? (of its engine), code? (what it
--       needs, without a version), bound? (end with the parent), awaits? (the parent's end waits for it), detached?
--       (said by hand), wake? {sid, agent?, queue?, salt?, ends?}, env? {id, spec?}, unique? {key, instead? (whom it
--       takes the place of)}, delivery? {occ, sub, kept_ms} (of a trigger, settled by this start), fence? {pid, inc,
--       ep, cl}, row?, rows?
-- Reply: {'created', inc, status} | {'existing', inc, status} | {'conflict', stored hash} | {'pruned', tomb} |
--        {'no_env'} | {'taken', pid, inc, status} | {'gone', sid, deleted at} | {'lost'}
-- Atomic because a registration without its doorbell would never run, and a child start after its parent's fence would
--        be a ghost.
local f, parent = a.fence, nil
if f then
  parent = load(f.pid)
  if not holds(parent, f, a.rows) then return { 'lost' } end
end
local key, old = proc_key(a.pid), NONE
if call('EXISTS', key, ns .. 'tomb:' .. a.pid) > 0 then -- one look at both, for nearly all are new
  old = fields(key, 'h', 'inc', 'st')
  local tomb = not old.st and call('GET', ns .. 'tomb:' .. a.pid)
  if tomb then return { 'pruned', tomb } end
  if old.st and old.h ~= a.hash then return { 'conflict', old.h } end
end
-- One living process at a time has a unique key; the process that takes its place has asked it to end.
local u = not old.st and a.unique
local holder = u and call('GET', ns .. 'uniq:' .. u.key)
if holder then
  local h = fields(proc_key(holder), 'st', 'inc', 'cr')
  if h.st and not ENDED[h.st] and not (u.instead == holder and h.cr) then return { 'taken', holder, h.inc, h.st } end
end
local w = a.wake
local gone = not old.st and w and w.agent and call('HGET', ns .. 'sess:' .. w.sid, 'gone')
if gone then return { 'gone', w.sid, gone } end
if not old.st and a.env and not use_environment(a.pid, a.env) then return { 'no_env' } end
if f then
  apply_rows(f.pid, parent, a.rows)
  if a.row then write_row(f.pid, a.row, old.inc or a.inc) end
  progressed(f.pid, parent)
end
if a.delivery then settle_delivery(a.delivery.occ, a.delivery.sub, 'started', a.delivery.kept_ms) end
if old.st then return { 'existing', old.inc, old.st } end

local is_outside, at = a.kind == 'x', int(now)
local entry = {
  'st', is_outside and 'running' or 'queued', 'seq', '0', 'ep', is_outside and '0' or '1', 'inc', a.inc,
  'q', a.queue, 'k', a.kind, 'h', a.hash, 'ca', at, 'ua', at, 'sn', at, a.code and 'cd' or nil, a.code,
}
local function put(name, value) entry[#entry + 1] = name; entry[#entry + 1] = value end
if a.ma then put('ma', int(a.ma)) end
if a.rc then put('rc', a.rc) end
if a.parent then put('pa', a.parent) end
if a.attempt_timeout_ms then put('to', int(a.attempt_timeout_ms)) end
if a.queue_timeout_ms then put('qt', '1') end
if a.awaits or a.detached then put('pe', a.awaits and '1' or 'd') end
if parent and parent.cr then put('pc', '1') end
if a.version then put('ver', a.version) end
if w then put('ws', w.sid) end
if w and w.ends then put('we', '1') end
if a.by then put('by', a.by) end
if a.limit then put('lk', a.limit) end
call('SET', ns .. 'spec:' .. a.pid, a.spec)
call('HSET', key, unpack(entry))
-- A child may take no longer than what started it.
local ends = a.deadline_ms and now + a.deadline_ms
local bound = a.parent and tonumber(call('HGET', proc_key(a.parent), 'dl') or nil)
if bound and not (ends and ends < bound) then ends = bound end
if ends then
  call('HSET', key, 'dl', int(ends))
  call('ZADD', ns .. 'timers', int(ends), TIMER.deadline .. a.pid)
end
if u then
  call('SET', ns .. 'uniq:' .. u.key, a.pid)
  call('HSET', key, 'uk', u.key)
end
if a.parent then call('SADD', ns .. 'children:' .. a.parent, a.pid) end
if a.bound then call('SADD', ns .. 'bound:' .. a.parent, a.pid) end
if a.awaits then
  call('SADD', ns .. 'awaited:' .. a.parent, a.pid)
  call('HSETNX', proc_key(a.parent), 'aw', '1')
end
if w and w.agent then open_session(w) end
if a.kind == 'x' then
  move_index(a.pid, nil, 'running', now)
  return { 'created', a.inc, 'running' }
end
local due = a.delay_ms and now + a.delay_ms or a.at_ms and a.at_ms > now and a.at_ms or nil
if a.queue_timeout_ms then
  call('ZADD', ns .. 'timers', int((due or now) + a.queue_timeout_ms), TIMER.queue_timeout .. a.pid)
end
move_index(a.pid, nil, 'queued', due or now)
call_worker(a.pid, '1', a.queue, false, due)
return { 'created', a.inc, 'queued' }
