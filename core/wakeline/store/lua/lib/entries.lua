-- Entries of an inbox: their states, and the end of their lives.
-- The inbox stream of a session holds what no turn has settled, in order of arrival. wakes:<sid> has, by entry number
-- n:
-- "<n>" body, "<n>:s" state, "<n>:c" how many it swallowed and "<n>:w" which, "<n>:co" coalescing key, "<n>:k" sender's
-- key, "<n>:e" error, "<n>:a" slots of the processes that await it, "<n>:t" tailers that are told of its end.
-- States: delivered | admitted TURN MS | settled TURN MS ADMITTED | failed TURN MS ADMITTED | blocked TURN MS ADMITTED
--         | undeliverable REASON MS | superseded N MS
-- Needs: base tails slots feed
local entries = {}

entries.KEPT = 1000 -- entries kept per session for "why did this agent wake?"
local OVER = { settled = true, failed = true, undeliverable = true, superseded = true }

function entries.state_of(sid, n) return call('HGET', ns .. 'wakes:' .. sid, n .. ':s') or '' end
function entries.verb_of(state) return string.match(state, '^%a*') end

-- A later wake of this key is an entry of its own from now on.
local function stop_coalescing(bodies, n, known)
  local key = known or call('HGET', bodies, n .. ':co')
  if key and call('HGET', bodies, 'co:' .. key) == n then call('HDEL', bodies, 'co:' .. key) end
end

-- Removes what is known of an entry whose life is over.
function entries.forget(sid, n)
  local bodies = ns .. 'wakes:' .. sid
  if not OVER[entries.verb_of(entries.state_of(sid, n))] then return end
  local dedupe = call('HGET', bodies, n .. ':k')
  if dedupe then call('HDEL', bodies, 'key:' .. dedupe) end
  call('HDEL', bodies, n, n .. ':s', n .. ':c', n .. ':w', n .. ':co', n .. ':k', n .. ':e', n .. ':a',
    n .. ':t')
  call('ZREM', ns .. 'idx:undeliverable', sid .. '#' .. n)
end

-- What the end of an entry's life looks at.
function entries.read(sid, n) return fields(ns .. 'wakes:' .. sid, n .. ':s', n .. ':co', n .. ':a', n .. ':t') end

-- The end of an entry's life: out of the inbox, the processes that await it are told, and an old entry makes room.
-- `read`: the entry, where the caller has it.
function entries.conclude(sid, n, state, resolution, read)
  local bodies, entry = ns .. 'wakes:' .. sid, read or entries.read(sid, n)
  local slots, tailers = entry[n .. ':a'], entry[n .. ':t']
  call('XDEL', ns .. 'inbox:' .. sid, n .. '-0')
  call('HSET', bodies, n .. ':s', state)
  tell_entry(sid, n, state)
  if entry[n .. ':co'] then stop_coalescing(bodies, n, entry[n .. ':co']) end
  local verb = entries.verb_of(state)
  if verb == 'undeliverable' or verb == 'failed' then
    call('ZADD', ns .. 'idx:undeliverable', int(now), sid .. '#' .. n)
  end
  for slot in string.gmatch(slots or '', '[^,]+') do resolve(slot, resolution) end
  if tailers then tails.concluded(sid, tailers, n) end
  if slots or tailers then call('HDEL', bodies, n .. ':a', n .. ':t') end
  local old = tonumber(n) - entries.KEPT
  if old > 0 then entries.forget(sid, int(old)) end
end

function entries.drop(sid, n, reason)
  local resolution = '{"status":"err","payload":{"code":"undeliverable","message":' .. quote(reason) .. '}}'
  entries.conclude(sid, n, 'undeliverable ' .. reason .. ' ' .. int(now), resolution)
end

-- Fixes an entry for a turn.
function entries.admit(sid, n, pid)
  local bodies = ns .. 'wakes:' .. sid
  call('HSET', bodies, n .. ':s', 'admitted ' .. pid .. ' ' .. int(now))
  stop_coalescing(bodies, n)
  tell_entry(sid, n, 'admitted ' .. pid)
end
