-- Purpose: delete a session permanently: its turn ends, its entries are undeliverable, its handles and data go, its id
--          stays used.
-- Include: base letters hints process ends deleting
-- ARGV: sid
-- Reply: {'deleted', deleted at, orphaned [pid]*, preserved [pid]*} (live processes that it held: those without another
--        holder, those that others hold) | {'gone', sid, deleted at} | {'absent'} (never used: nothing to do)
-- Atomic because an entry, a turn or a wait that a deleted session left behind would wait without an end (races 8, 10,
--        11).
local head = ns .. 'sess:' .. a.sid
local s = fields(head, 'turn', 'gone', 'n')
if s.gone then return { 'gone', a.sid, s.gone } end
if call('EXISTS', head) == 0 then return { 'absent' } end
call('HSET', head, 'gone', int(now))
if s.turn then
  local p = load(s.turn)
  if p.st and not ENDED[p.st] then
    if p.st == 'running' and p.ow then hints.send_to_run(s.turn, p, 'lost') end
    finish(s.turn, p, 'cancelled', '{"type":"cancelled","message":"its session was deleted"}')
  end
end
call('HDEL', head, 'q', 'salt', 'rev', 'af', 'ca', 'pa', 'turn', 'tn', 'hn', 'fr', 'fo', 'blk', 'half', 'hw', 'ic',
  'df', 'dl', 'lg')
call('ZREM', ns .. 'idx:sessions', a.sid)
call('ZREM', ns .. 'timers', TIMER.unopened .. a.sid)
call('UNLINK', ns .. 'state:' .. a.sid, ns .. 'hist:' .. a.sid, ns .. 'born:' .. a.sid, ns .. 'mids:' .. a.sid,
  ns .. 'linger:' .. a.sid)
local orphaned, preserved = clear_session(a.sid)
return { 'deleted', int(now), orphaned, preserved }
