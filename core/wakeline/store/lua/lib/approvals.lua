-- Approvals: those that can be answered. idx:approvals has their slots, by when they were asked. The slot of one has
-- "es": the sequence of its event approval.requested, '0' of one that a release before asked without; '' of another
-- completion.
-- Needs: base log record
local approvals = {}

function approvals.is_one(slot) return slot.es and slot.es ~= '' end

-- A question is asked: its event, which holds no token, and its place among the open ones. Once, however often it is
-- sent: the caller has looked whether the slot has its event. `w`: the record, where its caller gathers it.
function approvals.ask(pid, p, id, event, w)
  local seq = w and record.event(w, 'approval.requested', event) or append(pid, p, 'approval.requested', event)
  call('HSET', ns .. 'slot:' .. id, 'es', seq)
  -- Those of one process and one moment stand in the order in which it asked.
  call('ZADD', ns .. 'idx:approvals', int(now) .. string.format('.%03d', tonumber(seq) % 1000), id)
end

-- It was answered, or no client can answer it any more. `slot` has its 'es'.
function approvals.close(id, slot)
  if approvals.is_one(slot) then call('ZREM', ns .. 'idx:approvals', id) end
end

-- Of slots that are gone with their process, or may no more be answered.
function approvals.forget(ids)
  if #ids > 0 then call('ZREM', ns .. 'idx:approvals', unpack(ids)) end
end

-- Whether it can be answered now. `slot` has 'p', 'r', 'z', 'd'; `p` has 'st', 'k', 'cr'.
function approvals.is_open(slot, p)
  if not slot.p or slot.r or slot.z or not p.st or ENDED[p.st] then return false end
  return not (slot.d and tonumber(slot.d) <= now) and not (p.k == 's' and p.cr)
end
