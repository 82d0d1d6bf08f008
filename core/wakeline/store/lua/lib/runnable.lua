-- Runnable: how a process becomes so, with a new epoch, and a doorbell now or a timer that rings it later.
-- Needs: base letters filters hints doorbell record rounds handoffs

-- Has a worker look at a queued process: its doorbell rings now, or a timer rings it at `due`.
local function call_worker(pid, epoch, queue, at_head, due)
  if due and due > now then
    call('ZADD', ns .. 'timers', int(due), TIMER.offer .. pid)
    hints.announce_timer(queue, due)
  elseif at_head then
    doorbell.ring(pid, epoch, queue, true)
  else
    handoffs.ring(pid, epoch, queue)
  end
end

local OF_A_RUN = { 'ow', 'cl', 'ct', 'rw', 'rg', 'an', 'ix' }

-- Gives the process a new epoch and one doorbell. Where `due` is in the future, the tick rings it then. `others`: the
-- process is left aside for the releases that did not look at it yet. `w`: its record, where the caller gathers it.
local function make_runnable(pid, p, at_head, due, others, w)
  local epoch, was = int(num(p.ep, 0) + 1), p.st
  local mine = w or record.open(pid, p)
  filters.drop(pid, p)
  for _, field in ipairs(OF_A_RUN) do
    if p[field] then record.drop(mine, field) end
  end
  record.set(mine, 'st', 'queued')
  record.set(mine, 'sn', int(now))
  record.set(mine, 'ep', epoch)
  if not w then record.write(mine) end
  move_index(pid, was, 'queued', not others and due or now)
  if others then rounds.leave(pid, p) else call_worker(pid, epoch, p.q, at_head, due) end
end
