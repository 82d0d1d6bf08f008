-- Purpose: one consistent look at a process.
-- Include: base errors listing registrations
-- ARGV: pid, after (events with a higher sequence), count (0 = none), tail? (the last count instead), detail? (journal
--       keys, slots and children too), bare? (without its registration), brief? (a long registration
--       without its input)
-- Reply: {fields, spec or '', events [[id, fields]*], journal keys, slots [id, fields]*, now, when it is offered to
--        workers ('' where it is not queued), children of this generation [pid, status or '']* (the first 256 by id),
--        how many there are, how many waits (the slots are the first 256 by id), with detail the events that tell of
--        setbacks [id, fields]*, what a failed process says of its error or ''} | not_found | pruned
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
local waits = a.detail and call('SMEMBERS', ns .. 'waits:' .. a.pid) or {}
for i, id in ipairs(first_names(waits)) do slots[i] = { id, call('HGETALL', ns .. 'slot:' .. id) } end
local told = {}
local sb = a.detail and call('HGET', proc_key(a.pid), 'sb')
for seq in string.gmatch(sb or '', '%d+') do
  told[#told + 1] = call('XRANGE', ns .. 'events:' .. a.pid, seq .. '-0', seq .. '-0')[1]
end
local offered, failed = '', ''
for i = 1, #state, 2 do
  if state[i] == 'st' and state[i + 1] == 'queued' then offered = call('ZSCORE', ns .. 'idx:queued', a.pid) or '' end
  if state[i] == 'st' and not a.bare then failed = error_of(a.pid, state[i + 1]) end
end
local children, number = {}, 0
if a.detail then
  local all = call('SMEMBERS', ns .. 'children:' .. a.pid)
  number = #all
  for i, pid in ipairs(first_names(all)) do children[i] = { pid, call('HGET', proc_key(pid), 'st') or '' } end
end
local spec = not a.bare and call('GET', ns .. 'spec:' .. a.pid) or ''
if a.brief then spec = registrations.brief(spec) end
return { state, spec, events, keys, slots, int(now), offered, children, number, #waits, told, failed }
