-- The journal of a process: rows that a run records, and the progress that they are.
-- Needs: base log misfits setbacks slots

-- The run is told how long its journal was and is (lib/bundle.lua), and shows that with its next writes. Returns
-- whether the row is new, and not sent again.
local function write_row(pid, row, sequence)
  local value = row.v or (row.a .. sequence .. row.b)
  local is_new = call('HSETNX', ns .. 'journal:' .. pid, row.k, value) == 1
  local bytes = is_new and #value or 0
  a.now = call('HINCRBY', proc_key(pid), 'jb', bytes)
  a.had = a.had or a.now - bytes
  return is_new
end

-- Progress: a process that gets further is not the poison that attempts and losses are counted for.
local function progressed(pid, p)
  local crash = misfits.crash_of(p)
  if p.at or p.ls or crash then call('HDEL', proc_key(pid), 'at', 'ls', 'lb', 'la') end
  p.at, p.ls = nil, nil
  if crash then misfits.clear(pid, p) end
end

-- Rows that a run consumed since its last write. They are journaled with this write, and their slots are closed.
local function apply_rows(pid, p, rows)
  ensure_started(pid, p)
  if not rows or #rows == 0 then return end
  for _, row in ipairs(rows) do
    local is_new, failed = write_row(pid, row), row.failed
    if failed and is_new then setbacks.attempt(pid, p, failed.number, failed.said, failed.delay_ms) end
    for _, id in ipairs(row.s or {}) do close_slot(pid, id, row.read and row.read[id], p) end
  end
  progressed(pid, p)
end
