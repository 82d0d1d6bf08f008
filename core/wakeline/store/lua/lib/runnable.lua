-- How a process becomes runnable: a new epoch, and a doorbell now or a timer that rings it later.
-- Needs: base hints doorbell process rounds

-- What makes a queued process be looked at: its doorbell, or the timer that rings it at due_ms.
local function call_worker(pid, epoch, queue, at_head, due)
  if due and due > now then
    call('ZADD', ns .. 'timers', int(due), 'd:' .. pid)
    hint_timer(queue, due)
  else
    ring(pid, epoch, queue, at_head)
  end
end

-- A process becomes runnable: new epoch, one doorbell. due_ms in the future holds the doorbell back until the tick rings it. others: it is left aside for
-- the releases that did not look at it yet.
local function make_runnable(pid, p, at_head, due, others)
  local epoch = int(call('HINCRBY', proc_key(pid), 'ep', 1))
  unset(pid, p, 'ow', 'cl', 'ct', 'rw', 'rg', 'an')
  call('HSET', proc_key(pid), 'st', 'queued', 'sn', int(now))
  move_index(pid, p.st, 'queued', not others and due or now)
  p.st, p.ep = 'queued', epoch
  if others then rounds.leave(pid, p) else call_worker(pid, epoch, p.q, at_head, due) end
end
