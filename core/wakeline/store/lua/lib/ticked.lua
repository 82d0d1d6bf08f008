-- When the namespace was ticked last, and by whom; nil where that is not known, or was later than now: the clock jumped back.
-- Needs: base
local function last_tick()
  local at, by = string.match(call('HGET', ns .. 'meta', 'ticked') or '', '^(%d+) (.*)$')
  if at and tonumber(at) <= now then return tonumber(at), by end
end
