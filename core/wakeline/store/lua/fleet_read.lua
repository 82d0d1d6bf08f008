-- Purpose: what doctor and the dashboard need to know of a namespace.
-- Include: base
-- ARGV: queues
-- Reply: {counts [status, n]*, owners [owner, expiry, held]*, timers, todo, queue lengths [queue, n, idle]*, stuck [pid, rings]*, now}
-- Atomic only for a consistent picture.
local counts, owners, lengths, stuck = {}, {}, {}, {}
for _, status in ipairs({ 'queued', 'running', 'waiting', 'completed', 'failed', 'cancelled', 'abandoned' }) do
  counts[#counts + 1] = { status, call('ZCARD', ns .. 'idx:' .. status) }
end
local all = call('ZRANGE', ns .. 'owners', 0, 255, 'WITHSCORES')
for i = 1, #all, 2 do owners[#owners + 1] = { all[i], all[i + 1], call('SCARD', ns .. 'owned:' .. all[i]) } end
for _, queue in ipairs(a.queues) do
  lengths[#lengths + 1] = { queue, call('LLEN', rq .. ':queue:' .. queue), call('SCARD', ns .. 'idle:' .. queue) }
end
for _, pid in ipairs(call('ZRANGE', ns .. 'idx:queued', 0, 255)) do
  local rings = call('HGET', proc_key(pid), 'rg')
  if rings then stuck[#stuck + 1] = { pid, rings } end
end
return { counts, owners, call('ZCARD', ns .. 'timers'), call('LLEN', ns .. 'todo'), lengths, stuck, int(now) }
