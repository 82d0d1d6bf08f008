-- The feed of a session: what its followers are told, in order.
-- Needs: base tails

-- Most sessions have no follower, and for them nothing is written.
local FEED, FEED_TTL = 1000, 600000
local followed
at_begin[#at_begin + 1] = function() followed = {} end
local function tell(sid, what, ...)
  if followed[sid] == nil then followed[sid] = call('GET', ns .. 'followed:' .. sid) end
  if not followed[sid] then return end
  local n = int(call('HINCRBY', ns .. 'sess:' .. sid, 'fd', 1))
  call('XADD', ns .. 'feed:' .. sid, 'MAXLEN', FEED, n .. '-0', 'at', int(now), 'w', what, ...)
  call('PEXPIRE', ns .. 'feed:' .. sid, FEED_TTL)
  tails.item(sid, followed[sid], n)
end

local function tell_entry(sid, n, state) tell(sid, 'entry', 'n', n, 's', state) end
