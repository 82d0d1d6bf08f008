-- Runnable: how a process becomes so, with a new epoch, and a doorbell now or a timer that rings it later.
-- Needs: base letters hints doorbell process rounds

-- Has a worker look at a queued process: its doorbell rings now, or a timer rings it at `due`.
local function call_worker(pid, epoch, queue, at_head, due)
  if due and due > now then
    call('ZADD', ns .. 'timers', int(due), TIMER.offer .. pid)
    hints.announce_timer(queue, due)
  else
    doorbell.ring(pid, epoch, queue, at_head)
  end
end

-- Gives the process a new epoch and one doorbell. Where `due` is in the future, the tick rings it then. `others`: the
-- process is left aside for the releases that did not look at it yet.
local function make_runnable(pid, p, at_head, due, others)
  local epoch = int(call('HINCRBY', proc_key(pid), 'ep', 1))
  unset(pid, p, 'ow', 'cl', 'ct', 'rw', 'rg', 'an')
  call('HSET', proc_key(pid), 'st', 'queued', 'sn', int(now))
  move_index(pid, p.st, 'queued', not others and due or now)
  p.st, p.ep = 'queued', epoch
  if others then rounds.leave(pid, p) else call_worker(pid, epoch, p.q, at_head, due) end
end
