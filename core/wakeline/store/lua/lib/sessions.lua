-- Sessions: the first use opens one, and entries that were addressed to it before get their turn now. False: it was
-- deleted.
-- Needs: base letters turns
local function open_session(s, parent)
  local key = ns .. 'sess:' .. s.sid
  local known = fields(key, 'ag', 'gone', 'n')
  if known.gone then return false, known.gone end
  if known.ag then return true end
  call('HSET', key, 'ag', s.agent, 'q', s.queue, 'salt', s.salt, 'rev', '0', 'ca', int(now))
  if parent and parent ~= s.sid then
    call('HSET', key, 'pa', parent)
    call('SADD', ns .. 'born:' .. parent, s.sid)
  end
  gather('ZADD', ns .. 'idx:sessions', int(now), s.sid)
  if known.n then
    call('ZREM', ns .. 'timers', TIMER.unopened .. s.sid)
    turns.begin_next(s.sid)
  end
  return true
end
