-- Deleting: what a deleted session leaves. Its entries become undeliverable, its handles are revoked, its data is
-- removed; all else that belongs to a session goes here too.
-- It is bounded: the rest is a todo row. Returns the live processes without another holder, and those that others hold.
-- Needs: base letters feed entries triggers
local function clear_session(sid)
  local orphaned, preserved, inbox = {}, {}, ns .. 'inbox:' .. sid
  for _, entry in ipairs(call('XRANGE', inbox, '-', '+', 'COUNT', BOUND)) do
    entries.drop(sid, string.match(entry[1], '^%d+'), 'target_gone')
  end
  local left = BOUND
  for _, scope in ipairs(call('SMEMBERS', ns .. 'scopes:' .. sid)) do
    for _, pid in ipairs(call('HKEYS', ns .. 'grants:' .. scope)) do
      if left == 0 then break end
      left = left - 1
      call('HDEL', ns .. 'grants:' .. scope, pid)
      call('SREM', ns .. 'granted:' .. pid, scope)
      local st = call('HGET', proc_key(pid), 'st')
      if st and not ENDED[st] then
        local list = call('SCARD', ns .. 'granted:' .. pid) == 0 and orphaned or preserved
        list[#list + 1] = pid
      end
    end
  end
  for _, row in ipairs(call('SPOP', ns .. 'subscribed:' .. sid, BOUND)) do
    local source, id = string.match(row, '^(%S+) (.*)$')
    unsubscribe(source, id)
  end
  -- What was settled is forgotten now. What was not settled is shown until retention, as any undeliverable entry.
  local head = fields(ns .. 'sess:' .. sid, 'n', 'cl')
  local last = tonumber(head.n or '0')
  local from = tonumber(head.cl or math.max(1, last - entries.KEPT))
  for n = from, math.min(last, from + BOUND - 1) do
    if string.find(entries.state_of(sid, int(n)), '^s') then entries.forget(sid, int(n)) end
  end
  local more = left == 0 or call('XLEN', inbox) > 0 or call('EXISTS', ns .. 'subscribed:' .. sid) == 1
  if more or from + BOUND <= last then
    call('HSET', ns .. 'sess:' .. sid, 'cl', int(math.min(last, from + BOUND - 1) + 1))
    call('RPUSH', ns .. 'todo', LEFT.clear_session .. sid)
  else
    call('HDEL', ns .. 'sess:' .. sid, 'cl')
    tell(sid, 'deleted') -- the last thing that is ever told of it
    call('UNLINK', inbox, ns .. 'frames:' .. sid, ns .. 'scopes:' .. sid)
  end
  return orphaned, preserved
end
