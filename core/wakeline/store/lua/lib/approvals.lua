-- Approvals: those that can be answered. idx:approvals has their slots, by when they were asked. The slot of one has
-- "es": the sequence of its event approval.requested, '0' of one that a release before asked without; '' of another
-- completion.
-- Needs: base log
local approvals = {}

function approvals.is_one(slot) return slot.es and slot.es ~= '' end

-- A question is asked: its event, which holds no token, and its place among the open ones. Once, however often it is
-- sent: the caller has looked whether the slot has its event.
function approvals.ask(pid, p, id, event)
  local seq = append(pid, p, 'approval.requested', event)
  call('HSET', ns .. 'slot:' .. id, 'es', seq)
  -- Those of one process and one moment stand in the order in which it asked.
  call('ZADD', ns .. 'idx:approvals', int(now) .. string.format('.%03d', tonumber(seq) % 1000), id)
end

-- It was answered, or no client can answer it any more. `slot` has its 'es'.
function approvals.close(id, slot)
  if approvals.is_one(slot) then call('ZREM', ns .. 'idx:approvals', id) end
end

-- It was answered, and a second answer by its id is told so and when, also once its slot is gone. `slot` has its 'es'.
function approvals.answered(id, slot)
  if approvals.is_one(slot) then call('SET', ns .. 'answer:' .. id, int(now), 'PX', '604800000') end -- 7 days
end

-- When it was answered (ms): '0' where a release before answered it and did not keep that, '' where it was not.
function approvals.answered_at(id)
  local at = call('GET', ns .. 'answer:' .. id)
  if at then return at end
  local pid = call('HGET', ns .. 'slot:' .. id, 'p')
  return pid and call('SISMEMBER', ns .. 'answered:' .. pid, id) == 1 and '0' or ''
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
