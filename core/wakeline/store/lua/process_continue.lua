-- Purpose: the same process with a new input and a fresh journal: next generation, old waits closed, unconsumed signals
--          kept (race 10).
-- Include: base log process misfits runnable runs mailbox journal
-- ARGV: pid, fence, input (JSON), rows?, version? (of the engine that goes on, '' for none; absent: as before),
--       asked? [slots of questions that nothing waits for yet, at most 256], headers? (JSON: what instruments give the
--       next generation)
-- Reply: {'continued', generation} | {'open', ids} (too many waits to close in one step: these first) | {'lost'}
-- Atomic because a half-emptied journal would replay the old generation's steps in the new one.
local p = load(a.pid)
local f = a.fence
if p.st == 'queued' and p.inc == f.inc and tonumber(p.ep) == tonumber(f.ep) + 1 then
  return { 'continued', p.gen or '1' }
end
if not holds(p, f, a.rows) then return { 'lost' } end
apply_rows(a.pid, p, a.rows) -- closes what this generation consumed: given up, its signals would come again
local open = call('SMEMBERS', ns .. 'waits:' .. a.pid)
if #open > BOUND then return { 'open', { unpack(open, 1, BOUND) } } end
mailbox.give_up(a.pid, open)
mailbox.give_up(a.pid, a.asked or {}) -- the next generation asks anew
-- No body awaits the children of the last generation any more.
call('UNLINK', ns .. 'journal:' .. a.pid, ns .. 'children:' .. a.pid)
call('HDEL', proc_key(a.pid), 'jb', 'at', 'ls', 'lb', 'la', 'sr')
misfits.clear(a.pid, p)
if a.headers then call('HSET', proc_key(a.pid), 'hs', a.headers) end
local generation = int(tonumber(p.gen or '1') + 1)
call('HSET', proc_key(a.pid), 'gen', generation, 'gs', int(now))
call('SET', ns .. 'input:' .. a.pid, a.input)
local to_version = ''
if a.version then
  if a.version == '' then call('HDEL', proc_key(a.pid), 'ver') else call('HSET', proc_key(a.pid), 'ver', a.version) end
  to_version = ',"version":' .. (a.version == '' and 'null' or quote(a.version))
end
local told = '{"generation":' .. generation .. ',"input":' .. a.input .. to_version .. '}'
append(a.pid, p, 'process.continued', told, nil, nil, run_of(p))
leave_owner(a.pid, p, 'successful')
make_runnable(a.pid, p, true)
return { 'continued', generation }
