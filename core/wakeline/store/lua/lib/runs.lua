-- The end of a run, whatever comes next: the owner no longer holds it and RQ no longer shows it.
-- Under a stock worker (no rw) RQ itself ends the running job when the function returns; touching its keys would make it a failure.
-- Needs: base rq places
local function leave_owner(pid, p, outcome)
  if p.ow then gather('SREM', ns .. 'owned:' .. p.ow, pid) end
  if p.rw and p.ow then rq_end(pid, p, outcome) end
  if p.lm then leave_places(pid, p) end
end
