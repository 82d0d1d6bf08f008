-- Losses of workers: which of them are the deploy's fault, and from which on a process runs apart from others.
-- Needs: base misfits
local crashes = {}

-- proven: releases of which a run has ended or parked, by when the first one did; the last 64, and those that workers
-- have.
local PROVEN = 64
function crashes.prove(release)
  if not release or call('ZADD', ns .. 'proven', 'NX', int(now), release) == 0 then return end
  local over = call('ZCARD', ns .. 'proven') - PROVEN
  if over <= 0 then return end
  local rows, there = call('HGETALL', ns .. 'releases'), {}
  for i = 2, #rows, 2 do there[rows[i]] = true end
  for _, one in ipairs(call('ZRANGE', ns .. 'proven', 0, over - 1)) do
    if not there[one] then call('ZREM', ns .. 'proven', one) end
  end
end

-- How often a process lost its worker since it last got further, whether that was counted or the deploy's fault.
function crashes.lost(p)
  local crash = misfits.crash_of(p)
  return num(p.ls, 0) + (crash and num(crash.looks, 0) or 0)
end

-- From this number of losses on it runs apart, as it may be what kills its workers: only beside others of which the
-- same is true, and in ever smaller groups, so that innocent ones do not wait for each other and the one that kills is
-- soon alone. Returns how many may run in its worker, itself among them; nil for a process that runs beside any other.
crashes.APART, crashes.SHARE = 2, 3
function crashes.apart(p)
  if not p.ls and not p.mf then return nil end
  return crashes.lost(p) >= crashes.APART and math.max(1, num(p.lb, 1)) or nil
end

-- Notes what a loss says for the next run: at most a third of those that were there may be with it then ('lb'; `held`:
-- how many its owner had), and how long the run lasted ('la'): one that goes on for much longer is not what kills.
function crashes.note(pid, p, held)
  local before = fields(proc_key(pid), 'lb', 'la')
  p.lb = math.min(held, num(before.lb, held))
  if crashes.lost(p) >= crashes.APART then p.lb = math.max(1, math.floor(p.lb / crashes.SHARE)) end
  call('HSET', proc_key(pid), 'lb', int(p.lb), 'la', int(math.max(num(before.la, 0), now - num(p.ct, now))))
end

-- Whether a loss is the deploy's fault: the release has brought no run to its end or park yet, or another release got
-- the process this far. Then the process waits for code that fits, and the loss is not counted until the patience is
-- over.
function crashes.crashed(pid, p)
  local another = p.pr and p.pr ~= (p.rel or '')
  if not another and (not p.rel or call('ZSCORE', ns .. 'proven', p.rel)) then return false end
  local before = misfits.crash_of(p)
  local since, looks = before and num(before.since_ms, now) or now, before and num(before.looks, 0) + 1 or 1
  if now - since >= num(a.patience_ms, 0) then return false end
  local what = 'worker ' .. (p.ow or 'unknown') .. ' was lost, number ' .. int(looks) .. ' in a row'
  p.mf = '{"kind":"crash","what":' .. quote(what) .. ',"release":' .. (p.rel and quote(p.rel) or 'null')
    .. ',"since_ms":' .. int(since) .. ',"looks":' .. int(looks) .. '}'
  -- One death may have any reason, so it is not reported: what is offered again at once does not wait.
  if crashes.lost(p) > crashes.APART then misfits.keep(pid, p.mf) else call('HSET', proc_key(pid), 'mf', p.mf) end
  return true
end
