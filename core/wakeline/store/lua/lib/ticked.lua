-- Ticked: when the last tick of the namespace was, and which worker did it. Nil where that is unknown, or is later than
-- now, as the clock jumped back.
-- Needs: base
local function last_tick()
  local at, by = string.match(call('HGET', ns .. 'meta', 'ticked') or '', '^(%d+) (.*)$')
  if at and tonumber(at) <= now then return tonumber(at), by end
end
