-- Todo rows: the tick goes on with what bounded scripts left.
-- Needs: base letters misfits cancel turns ends deleting

-- What each row does. `id`: the process or session behind its letter; `over`: the process ended, or is pruned; `asked`:
-- it lives and was asked to end. A row of a process that was pruned is of no process: the next one may have its id.
-- True: more is left, so the row stays.
local go_on = {}
go_on[LEFT.cancel_waits] = function(pid, _, asked) return asked and not cancel.waits(pid) end
go_on[LEFT.cancel_children] = function(pid, _, asked) return asked and not cancel.awaited(pid) end
go_on[LEFT.tell_waiters] = function(pid, over)
  local event = over and call('XREVRANGE', ns .. 'events:' .. pid, '+', '-', 'COUNT', 1)[1]
  if event then resolve_waiters(pid, string.match(event[2][4], '^{"await_output":(.*)}$') or 'null') end
end
go_on[LEFT.drop_waits] = function(pid, over) if over then drop_waits(pid) end end
go_on[LEFT.end_children] = function(pid, over) if over then end_children(pid) end end
go_on[LEFT.begin_turn] = function(sid) turns.begin_next(sid) end
go_on[LEFT.clear_session] = function(sid) clear_session(sid) end
go_on[LEFT.look_at_misfits] = function(rest)
  local from, release = string.match(rest, '^(%d+) (.*)$')
  misfits.look(release ~= '' and release, tonumber(from))
end

local function do_todo()
  for _ = 1, 4 do
    local todo = call('LPOP', ns .. 'todo')
    if not todo then break end
    local what, id = string.sub(todo, 1, 2), string.sub(todo, 3)
    local st, cancelled = unpack(call('HMGET', proc_key(id), 'st', 'cr'))
    local over = not st or ENDED[st]
    if go_on[what] and go_on[what](id, over, cancelled and not over) then call('RPUSH', ns .. 'todo', todo) end
  end
end
