-- Pruning: one ended process goes, with all that belongs to it.
-- Needs: base filters doorbell approvals slots environments attachments
-- Slots that the end of their process left, at most so many. Returns how many are gone.
local function drop_slots(key, most)
  local ids = most > 0 and call('SPOP', key, most) or {}
  for _, id in ipairs(ids) do call('UNLINK', slot_key(id)) end
  approvals.forget(ids)
  return #ids
end

-- Handles and attachments of a process know it too: it leaves them. False when more than the bound are left.
local function leave_holders(pid)
  local left = BOUND
  for _, scope in ipairs(call('SPOP', ns .. 'granted:' .. pid, left)) do
    call('HDEL', ns .. 'grants:' .. scope, pid)
    left = left - 1
  end
  left = left - drop_slots(ns .. 'waits:' .. pid, left)
  left = left - drop_slots(ns .. 'closed:' .. pid, left)
  for _, kind in ipairs({ 'process', 'payload', 'journal' }) do
    local owner = kind .. ':' .. pid
    for _, id in ipairs(left > 0 and call('ZRANGE', ns .. 'atts:' .. owner, 0, left - 1) or {}) do
      attachments.disown(id, owner)
      call('ZADD', ns .. 'attachments', 'XX', int(now), id) -- the next sweep looks for other owners
      left = left - 1
    end
  end
  return left > 0
end

-- True when the process is gone; else why it stays. A child whose live parent has not journaled its result is `unread`
-- (race 20). Of one that many hold a `part` is gone, and the next call goes on with it.
local function prune(pid, status)
  -- One look: most processes leave a record, a registration and a log, and nothing else.
  local more = call('EXISTS', ns .. 'bound:' .. pid, ns .. 'waiters:' .. pid, ns .. 'granted:' .. pid,
    ns .. 'waits:' .. pid, ns .. 'closed:' .. pid, ns .. 'answered:' .. pid, ns .. 'mail:' .. pid,
    ns .. 'children:' .. pid, ns .. 'journal:' .. pid, ns .. 'replay:' .. pid, ns .. 'input:' .. pid,
    ns .. 'atts:process:' .. pid, ns .. 'atts:payload:' .. pid, ns .. 'atts:journal:' .. pid) > 0
  -- A process that was not told of its end yet is found through it, so it stays until a todo row has done the rest.
  if more and call('EXISTS', ns .. 'bound:' .. pid, ns .. 'waiters:' .. pid) > 0 then
    return false, 'untold'
  end
  local p = fields(proc_key(pid), 'pa', 'env', 'uk', 'ep', 'ix')
  if p.pa then
    local parent = fields(proc_key(p.pa), 'st')
    local unread = call('SISMEMBER', ns .. 'children:' .. p.pa, pid) == 1
      and call('HEXISTS', ns .. 'journal:' .. p.pa, 'result:' .. pid) == 0
      and call('HEXISTS', ns .. 'journal:' .. p.pa, '@read:' .. pid) == 0
    if parent.st and not ENDED[parent.st] and unread then return false, 'unread' end
    call('SREM', ns .. 'children:' .. p.pa, pid)
  end
  if more then
    if not leave_holders(pid) then return false, 'part' end
    call('UNLINK', ns .. 'replay:' .. pid, ns .. 'journal:' .. pid, ns .. 'waits:' .. pid, ns .. 'closed:' .. pid,
      ns .. 'answered:' .. pid, ns .. 'children:' .. pid, ns .. 'mail:' .. pid, ns .. 'input:' .. pid,
      ns .. 'granted:' .. pid)
  end
  filters.leave(pid, p)
  leave_environment(p.env)
  if p.uk and call('GET', ns .. 'uniq:' .. p.uk) == pid then call('UNLINK', ns .. 'uniq:' .. p.uk) end
  -- Its doorbell may lie in a queue that no worker takes from, in either form.
  call('UNLINK', proc_key(pid), ns .. 'spec:' .. pid, ns .. 'events:' .. pid,
    rq .. ':job:' .. doorbell.id(pid, p.ep or '0', '1'), rq .. ':job:' .. doorbell.id(pid, p.ep or '0', '2'))
  local tombstone = '{"status":"' .. status .. '","pruned_at_ms":' .. int(now) .. '}'
  call('SET', ns .. 'tomb:' .. pid, tombstone, 'PX', int(a.tombstone_ms))
  return true
end
