-- Ticked: when the last tick of the namespace was, and who ticks.
-- Needs: base
local ticks = {}

-- When the last tick was, and what did it. Nil where that is unknown, or is later than now, as the clock jumped back.
function ticks.last()
  local at, by = string.match(call('HGET', ns .. 'meta', 'ticked') or '', '^(%d+) (.*)$')
  if at and tonumber(at) <= now then return tonumber(at), by end
end

-- Until when another one ticks. A late one is replaced, even if it only stalls. A tick of the release before
-- makes no one the one that ticks: it does not do all that this release does. One that retains what has ended for
-- longer than this worker does is replaced, too: the shortest retention of a fleet counts.
function ticks.left_to_another()
  local ticker, retains = unpack(call('HMGET', ns .. 'meta', 'ticker', 'retains'))
  local ends, by = string.match(ticker or '', '^(%d+) (.*)$')
  ends = tonumber(ends)
  if num(retains, 0) > a.retention_ms then return nil end
  if ends and by ~= a.by and ends > now and ends <= now + a.every_ms then return ends end
end
