-- Attachments: att:<id> holds what is known of one; its field "o:<owner>" says since when (ms) this owner has it.
-- atts:<owner> has the ids that an owner owns.
-- The field "c" marks a large payload, the only thing that a stand-in stands for. Bytes lie in a backend under
-- "<backend> <location>", and only one upload ever uses a location.
-- Needs: base
local attachments = {}

-- How long an upload may take, and how long an owner may be missing: ownership is given before what owns it starts.
attachments.FRESH = 3600000
attachments.LOOK_EVERY = 3600000

local function att_key(id) return ns .. 'att:' .. id end

function attachments.own(id, owner)
  call('HSET', att_key(id), 'o:' .. owner, int(now))
  call('ZADD', ns .. 'atts:' .. owner, 0, id)
end

-- Whether the process, journal or session behind an owner is still there. What a journal keeps goes with its
-- generation, what a session's state keeps goes with the next state.
function attachments.owner_lives(owner, since, attachment)
  if owner == 'host' or now - since < attachments.FRESH then return true end
  local kind, id = string.match(owner, '^(%a+):(.*)$')
  if kind == 'session' then
    local s = fields(ns .. 'sess:' .. id, 'n', 'ag', 'gone')
    return (s.n or s.ag) and not s.gone
  end
  if kind == 'said' then return attachments.owner_lives('session:' .. id, since, attachment) end
  if kind == 'occurrence' then return call('EXISTS', ns .. 'occ:' .. id) == 1 end
  if kind == 'state' then return string.find(call('GET', ns .. 'state:' .. id) or '', attachment, 1, true) ~= nil end
  local p = fields(proc_key(id), 'st', 'gs')
  return p.st and (kind ~= 'journal' or tonumber(p.gs or '0') <= since)
end

function attachments.disown(id, owner)
  call('ZREM', ns .. 'atts:' .. owner, id)
  return call('HDEL', att_key(id), 'o:' .. owner)
end
