-- Purpose: in which worker a process runs and until when that may keep it, or the same of those that have a place under
-- a limit.
-- Include: base
-- ARGV: pid ('' where a limit is meant), limit ('' where a process is meant), most (rows)
-- Reply: {[pid, owner, since when it runs, end of the owner's lease or '' (it is gone)]*, how many have a place under
--        the limit}
-- Atomic only for a consistent picture.
local pids, taken = { a.pid }, 0
if a.limit ~= '' then
  local key = ns .. 'holds:' .. a.limit
  taken = call('SCARD', key)
  pids = call('SRANDMEMBER', key, int(a.most))
  table.sort(pids)
end
local rows = {}
for _, pid in ipairs(pids) do
  local p = fields(proc_key(pid), 'st', 'ow', 'ua')
  if p.st == 'running' and p.ow then
    rows[#rows + 1] = { pid, p.ow, p.ua, call('ZSCORE', ns .. 'owners', p.ow) or '' }
  end
end
return { rows, taken }
