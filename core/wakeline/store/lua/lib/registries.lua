-- Registries: those that RQ keeps of our queues.
-- Needs: base routes doorbell
local TIDY_EVERY = 60000
local RQ_KEEPS = 3600 -- s; RQ's own cleaning comes first, where a stock worker does it

-- Removes what RQ's own cleaning would have removed by now. Stock workers do that cleaning, and ours do not.
local function tidy_registries()
  if now < num(call('HGET', ns .. 'meta', 'tidied'), 0) + TIDY_EVERY then return end
  call('HSET', ns .. 'meta', 'tidied', int(now))
  routes.tidy()
  local queues = {}
  for _, owner in ipairs(call('ZRANGE', ns .. 'owners', 0, 63)) do
    for _, queue in ipairs(call('SMEMBERS', ns .. 'listens:' .. owner)) do queues[queue] = true end
  end
  for queue in pairs(queues) do
    local failed, wip = rq .. ':failed:' .. queue, rq .. ':wip:' .. queue
    for _, id in ipairs(call('ZRANGEBYSCORE', failed, '-inf', int(now / 1000), 'LIMIT', 0, 64)) do
      call('ZREM', failed, id)
    end
    -- Runs of stock workers that were killed. Runs of ours are removed with any end of theirs.
    for _, execution in ipairs(call('ZRANGEBYSCORE', wip, '-inf', int(now / 1000 - RQ_KEEPS), 'LIMIT', 0, 64)) do
      local id = string.match(execution, '^(.*):[^:]*$')
      if id and doorbell.read(id) then
        call('ZREM', wip, execution)
        call('UNLINK', rq .. ':job:' .. id, rq .. ':execution:' .. execution, rq .. ':executions:' .. id)
      end
    end
  end
end
