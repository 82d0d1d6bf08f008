-- Misfits: why code cannot go on with a process, which waits for code that fits.
-- Needs: base letters doorbell aside process rounds
local misfits = {}

-- The deaths of workers that were the deploy's fault (misfit of kind 'crash'), if that is why it waits.
function misfits.crash_of(p)
  local misfit = p.mf and object(p.mf)
  return misfit and misfit.kind == 'crash' and misfit or nil
end

-- Keeps why code cannot go on with a process ('mf', its misfit) until other code has gone on with it: to a park, the
-- next generation or the end.
function misfits.keep(pid, misfit)
  call('HSET', proc_key(pid), 'mf', misfit)
  call('ZADD', ns .. 'misfits', 'NX', int(now), pid)
end

function misfits.clear(pid, p)
  if not p.mf then return end
  call('HDEL', proc_key(pid), 'mf', 'uf', 'mn')
  call('ZREM', ns .. 'misfits', pid)
  p.mf, p.uf = nil, nil
end

-- A queued process that would be offered later is offered by the next tick.
function misfits.offer(pid)
  if call('ZSCORE', ns .. 'timers', TIMER.offer .. pid) then
    call('ZADD', ns .. 'timers', int(now), TIMER.offer .. pid)
  end
end

-- A worker has come, or the last worker of a release has gone: what waits for code that fits is offered, from number
-- `from` on. What `release` cannot go on with is not offered, as its code is the same.
function misfits.look(release, from)
  local page = call('ZRANGE', ns .. 'misfits', int(from), int(from + BOUND - 1))
  for _, pid in ipairs(page) do
    local p = load(pid)
    local misfit = object(p.mf)
    local same = misfit and (misfit.release == (release or misfit.kind == 'crash' and cjson.null)
      or release and rounds.has_looked(p.uf, release))
    if p.st == 'queued' and p.as and not rounds.is_awaited(p) then
      leave_aside(pid, p.as)
      doorbell.ring(pid, p.ep, p.q, false)
    elseif misfit and not (same and misfit.kind ~= 'missing') then
      misfits.offer(pid)
    end
  end
  if #page == BOUND then
    call('RPUSH', ns .. 'todo', LEFT.look_at_misfits .. int(from + BOUND) .. ' ' .. (release or ''))
  end
end

-- An owner has gone. Where it was the last of its release, the next tick offers to the others what was left to it.
function misfits.leaves(release)
  for _, other in ipairs(call('HVALS', ns .. 'releases')) do
    if other == release then return end
  end
  call('RPUSH', ns .. 'todo', LEFT.look_at_misfits .. '0 ' .. (release or ''))
end
