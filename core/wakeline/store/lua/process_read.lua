-- Purpose: one consistent look at a process.
-- Include: base
-- ARGV: pid, after (events with a higher sequence), count (0 = none), tail? (the last count instead), detail? (journal
--       keys, slots and children too), bare? (without its registration, which may be large)
-- Reply: {fields, spec or '', events [[id, fields]*], journal keys, slots [id, fields]*, now, when it is offered to
--        workers ('' where it is not queued), children of this generation [pid, status or '']* (256 at most), how many
--        there are} | not_found | pruned
-- Atomic because record, log and waits must be of one moment.
local state = call('HGETALL', proc_key(a.pid))
if #state == 0 then return missing(a.pid) end
local events = {}
if a.count > 0 then
  local key = ns .. 'events:' .. a.pid
  if a.tail then
    local back = call('XREVRANGE', key, '+', '-', 'COUNT', int(a.count))
    for i = #back, 1, -1 do events[#events + 1] = back[i] end
  else
    events = call('XRANGE', key, '(' .. int(a.after) .. '-0', '+', 'COUNT', int(a.count))
  end
end
local slots, keys = {}, {}
if a.detail then keys = call('HKEYS', ns .. 'journal:' .. a.pid) end
for i, id in ipairs(a.detail and call('SMEMBERS', ns .. 'waits:' .. a.pid) or {}) do
  if i > BOUND then break end
  slots[#slots + 1] = { id, call('HGETALL', ns .. 'slot:' .. id) }
end
local offered = ''
for i = 1, #state, 2 do
  if state[i] == 'st' and state[i + 1] == 'queued' then offered = call('ZSCORE', ns .. 'idx:queued', a.pid) or '' end
end
local children, number = {}, 0
if a.detail then
  number = call('SCARD', ns .. 'children:' .. a.pid)
  local some = call('SRANDMEMBER', ns .. 'children:' .. a.pid, BOUND)
  table.sort(some)
  for i, pid in ipairs(some) do children[i] = { pid, call('HGET', proc_key(pid), 'st') or '' } end
end
local spec = not a.bare and call('GET', ns .. 'spec:' .. a.pid) or ''
return { state, spec, events, keys, slots, int(now), offered, children, number }
