-- Purpose: queues and limits as an operator sees them.
-- Include: base
-- ARGV: queues (RQ's names)
-- Reply: [queue, waiting, running, paused ('1'|'0'), limit (JSON or '')]*, [limit, JSON or '', running under it, waiting for a place or a cell]* (of bodies and keys)
-- Atomic only for a consistent picture.
local queues, others, seen = {}, {}, {}
for _, queue in ipairs(a.queues) do
  queues[#queues + 1] = { queue, call('LLEN', rq .. ':queue:' .. queue) + call('LLEN', ns .. 'held:q:' .. queue) + call('LLEN', ns .. 'rated:q:' .. queue), call('ZCARD', rq .. ':wip:' .. queue),
    call('SISMEMBER', ns .. 'paused', queue) == 1 and '1' or '0', call('HGET', ns .. 'limits', 'q:' .. queue) or '' }
end
local function show(id, text)
  if seen[id] or string.sub(id, 1, 2) ~= 'b:' then return end
  seen[id] = true
  others[#others + 1] = { string.sub(id, 3), text or call('HGET', ns .. 'limits', string.match(id, '^b:[^:]+')) or '', call('SCARD', ns .. 'holds:' .. id), call('LLEN', ns .. 'held:' .. id) + call('LLEN', ns .. 'rated:' .. id) }
end
for i, id in ipairs(call('SUNION', ns .. 'holding', ns .. 'rating')) do
  if i > BOUND then break end
  show(id)
end
local declared = call('HGETALL', ns .. 'limits')
for i = 1, math.min(#declared, BOUND * 2), 2 do show(declared[i], declared[i + 1]) end
return { queues, others }
