-- Purpose: queues and limits as an operator sees them.
-- Include: base routes takers
-- ARGV: queues (RQ's names)
-- Reply: [queue, waiting, running, paused ('1'|'0'), limit (JSON or ''), doorbells, idle owners, workers that take from
--        it [name]*]*, [limit, JSON or '', running under it, waiting for a place or a cell]* (of bodies and keys),
--        {owners that live, whether RQ is suspended ('1'|'0'), now}
-- Atomic only for a consistent picture.
local queues, others, seen = {}, {}, {}
local function waiting(limit) return call('LLEN', ns .. 'held:' .. limit) + call('LLEN', ns .. 'rated:' .. limit) end
for _, queue in ipairs(a.queues) do
  local bells, paused = call('LLEN', rq .. ':queue:' .. queue), call('SISMEMBER', ns .. 'paused', queue) == 1
  queues[#queues + 1] = {
    queue, bells + waiting('q:' .. queue), call('ZCARD', rq .. ':wip:' .. queue), paused and '1' or '0',
    call('HGET', ns .. 'limits', 'q:' .. queue) or '', bells, routes.idle(queue),
    takers.of(queue),
  }
end
local function show(id, text)
  if seen[id] or string.sub(id, 1, 2) ~= 'b:' then return end
  seen[id] = true
  local said = text or call('HGET', ns .. 'limits', string.match(id, '^b:[^:]+')) or ''
  others[#others + 1] = { string.sub(id, 3), said, call('SCARD', ns .. 'holds:' .. id), waiting(id) }
end
for i, id in ipairs(call('SUNION', ns .. 'holding', ns .. 'rating')) do
  if i > BOUND then break end
  show(id)
end
local declared = call('HGETALL', ns .. 'limits')
for i = 1, math.min(#declared, BOUND * 2), 2 do show(declared[i], declared[i + 1]) end
return { queues, others, { takers.number(), call('EXISTS', rq .. ':suspended'), int(now) } }
