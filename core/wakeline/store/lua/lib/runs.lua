-- Runs: the end of one, before its process parks, ends or is queued again. Its owner holds it no longer and RQ shows it
-- no longer.
-- Under a stock worker (no rw) RQ itself ends the running job when the function returns; a write to its keys would make
-- the job a failure.
-- Needs: base rq places
local function leave_owner(pid, p, outcome)
  if p.ow then gather('SREM', ns .. 'owned:' .. p.ow, pid) end
  if p.rw and p.ow then executions.finish(pid, p, outcome) end
  if p.lm then places.leave(pid, p) end
end
