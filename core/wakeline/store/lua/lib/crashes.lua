-- Losses of workers: which of them are the deploy's fault, and from which on a process runs alone.
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

-- From this number of losses on it runs alone, as it may be what kills its workers.
crashes.ALONE = 2
function crashes.runs_alone(p) return crashes.lost(p) >= crashes.ALONE end

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
  if crashes.lost(p) > crashes.ALONE then misfits.keep(pid, p.mf) else call('HSET', proc_key(pid), 'mf', p.mf) end
  return true
end
