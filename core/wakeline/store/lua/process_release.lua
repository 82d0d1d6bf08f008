-- Purpose: hand a run back (shutdown, code that does not fit) or schedule its next attempt (a turn or tool that
--          raised).
-- Include: base log process rounds misfits setbacks runnable runs journal ends
-- ARGV: pid, fence, delay_ms, attempt? (counts against max attempts; the run failed), output? (what ends it when
--       attempts are used up), text? (the wake's then), rows?, unrun? (this worker lacks its code), unread? (what of it
--       this worker cannot read), misfit? (JSON: why this code cannot go on with it; kept until code that fits goes
--       on), refused? (a write of the run was refused: it holds its process only where the store went back),
--       headers? (JSON: what instruments give the run that goes on), said? (of a failed attempt: what failed, JSON),
--       about? (of the end: what else its event says, members of JSON)
-- Reply: {'released', epoch} | {'exhausted', sequence} | {'abandoned', sequence} | {'cancelled', sequence} (a turn that
--        was asked to end) | {'lost'}
-- Atomic because a release that is not queued is a process that no worker runs.
local p = load(a.pid)
if not a.refused and p.st == 'queued' and p.inc == a.fence.inc and tonumber(p.ep) == tonumber(a.fence.ep) + 1 then
  return { 'released', p.ep }
end
if not holds(p, a.fence, a.rows) then return { 'lost' } end
if a.rows and #a.rows > 0 then apply_rows(a.pid, p, a.rows) end
-- A turn that was asked to end, or gives way to an arrival, ends by what it raises: however its body wraps that, it is
-- no failure.
if a.attempt and p.sid and p.cr then
  local output = '{"type":"cancelled","message":' .. quote(cancel_reason(a.pid)) .. '}'
  return { 'cancelled', finish(a.pid, p, 'cancelled', output) }
end
if a.attempt then
  local attempts = call('HINCRBY', proc_key(a.pid), 'at', 1)
  call('HSET', proc_key(a.pid), 'fa', '1') -- what a failed attempt recorded, the next one need not ask for
  if attempts >= num(p.ma, 5) then
    if a.output then return { 'exhausted', finish(a.pid, p, 'failed', a.output, a.text, nil, a.about) } end
    return { 'exhausted', abandon(a.pid, p, 'attempts_exhausted') }
  end
  if a.said then setbacks.attempt(a.pid, p, attempts, a.said, a.delay_ms, run_of(p)) end
elseif p.rc == 'b' and p.fs and not a.unrun and not a.misfit then
  return { 'abandoned', abandon(a.pid, p, 'shutdown') }
end
local others
if a.misfit then
  local before = object(p.mf)
  misfits.keep(a.pid, a.misfit)
  p.mf = a.misfit
  others = rounds.passes_on(a.pid, p)
  -- It may be looked at each minute for weeks, so only another reason is told. 'mn' counts these, as two releases side
  -- by side may each have a reason of its own. That a worker lacks its code is no fault of a run.
  local found = object(a.misfit)
  local same = before and before.kind == found.kind and before.what == found.what and before.release == found.release
  if found.kind ~= 'missing' and not same then
    local at = int(others and now or now + a.delay_ms)
    local told = '{"kind":' .. quote(found.kind) .. ',"what":' .. quote(found.what) .. ',"next_ms":' .. at .. '}'
    setbacks.entered(a.pid, p, call('HINCRBY', proc_key(a.pid), 'mn', 1), 'process.misfit', told, run_of(p))
  end
end
if a.headers then call('HSET', proc_key(a.pid), 'hs', a.headers) end
leave_owner(a.pid, p, a.attempt and 'failed' or nil)
if a.unread then call('HSET', proc_key(a.pid), 'ur', a.unread) end
make_runnable(a.pid, p, not a.attempt, a.delay_ms > 0 and now + a.delay_ms or nil, others)
return { 'released', p.ep }
