-- Purpose: the totals that workers counted, and how long the heads of queues wait.
-- Include: base doorbell
-- ARGV: queues (RQ's names)
-- Reply: {totals [series, number]*, heads [queue, since when it is offered]*}
-- Atomic only for a consistent picture.
local waiting = {}
for _, queue in ipairs(a.queues) do
  local bell = call('LINDEX', rq .. ':queue:' .. queue, 0)
  local pid = bell and doorbell.read(bell)
  local since = pid and call('ZSCORE', ns .. 'idx:queued', pid)
  if since then waiting[#waiting + 1] = { queue, since } end
end
return { call('HGETALL', ns .. 'metrics'), waiting }
