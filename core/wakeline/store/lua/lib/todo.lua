-- Todo rows: the rest of bounded scripts.
-- Needs: base misfits cancel turns ends deleting

local function do_todo()
  for _ = 1, 4 do
    local todo = call('LPOP', ns .. 'todo')
    if not todo then break end
    local what, pid = string.sub(todo, 1, 1), string.sub(todo, 3)
    -- What was left over of a process that was pruned meanwhile is nobody's, and no matter of the next one with its id.
    local st, asked = unpack(call('HMGET', proc_key(pid), 'st', 'cr'))
    local over = not st or ENDED[st]
    if what == 'c' then
      if asked and not over and not cancel_waits(pid) then call('RPUSH', ns .. 'todo', todo) end
    elseif what == 'w' then
      local event = over and call('XREVRANGE', ns .. 'events:' .. pid, '+', '-', 'COUNT', 1)[1]
      if event then resolve_waiters(pid, string.match(event[2][4], '^{"await_output":(.*)}$') or 'null') end
    elseif what == 'd' then
      if over then drop_waits(pid) end
    elseif what == 'p' then
      if over then end_children(pid) end
    elseif what == 'k' then
      if asked and not over and not cancel_awaited(pid) then call('RPUSH', ns .. 'todo', todo) end
    elseif what == 'n' then
      ring_session(pid)
    elseif what == 'g' then
      clear_session(pid)
    elseif what == 'm' then
      local from, release = string.match(pid, '^(%d+) (.*)$')
      misfits.look(release ~= '' and release, tonumber(from))
    end
  end
end
