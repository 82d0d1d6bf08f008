-- Routes: the queues of an owner that takes from several, in its order; owners with the same ones share a route.
-- A take looks at no queue that is empty: `ringing` has the queues of routes that may have doorbells. A script that
-- puts the first one on a list says so. What others push (RQ, its users, the release before) the tick finds.
-- An owner that takes from one queue has no route: it looks at its list.
-- Needs: base queues
local routes = {}
at_begin[#at_begin + 1] = function() routes.known, routes.having = nil, {} end

-- The routes that there are. One look brings all that a ring needs of the namespace: also the form of doorbells' ids.
function routes.all()
  if not routes.known then
    local row = call('HMGET', ns .. 'meta', 'bells', 'routes')
    routes.form, routes.known = row[1] or '2', {}
    for id in string.gmatch(row[2] or '', '%S+') do routes.known[#routes.known + 1] = id end
  end
  return routes.known
end

function routes.bell_form()
  routes.all()
  return routes.form
end

function routes.has(id, queue) return call('ZSCORE', ns .. 'route:' .. id, queue) ~= false end

-- The sets of idle owners that take from a queue: those of that queue alone (and all of the release before), then those
-- of each route that has it.
function routes.idle_sets(queue)
  local sets = routes.having[queue]
  if not sets then
    sets = { ns .. 'idle:' .. queue }
    for _, id in ipairs(routes.all()) do
      if routes.has(id, queue) then sets[#sets + 1] = ns .. 'idle:' .. id end
    end
    routes.having[queue] = sets
  end
  return sets
end

-- How many owners that take from a queue are idle.
function routes.idle(queue)
  local number = 0
  for _, set in ipairs(routes.idle_sets(queue)) do number = number + call('SCARD', set) end
  return number
end

-- A queue that was empty has a doorbell.
function routes.rings(queue)
  if #routes.all() > 0 then call('SADD', ns .. 'ringing', queue) end
end

-- The queues of a route that may have doorbells, in its order.
function routes.ringing(id) return call('ZINTER', 2, ns .. 'ringing', ns .. 'route:' .. id, 'WEIGHTS', 0, 1) end

-- Those of some queues (64 at most) that have doorbells, and that no script said so of.
local function find_among(queues)
  local said, lists, left, found = call('SMISMEMBER', ns .. 'ringing', unpack(queues)), {}, {}, {}
  for i, queue in ipairs(queues) do
    if said[i] == 0 then
      left[#left + 1], lists[#lists + 1] = queue, rq .. ':queue:' .. queue
      lists[#lists + 1] = rq .. ':queue:' .. (former_name(queue) or queue)
    end
  end
  if #lists == 0 or call('EXISTS', unpack(lists)) == 0 then return found end
  for i, queue in ipairs(left) do
    if call('EXISTS', lists[i * 2 - 1], lists[i * 2]) > 0 and call('SISMEMBER', ns .. 'paused', queue) == 0 then
      call('SADD', ns .. 'ringing', queue)
      found[#found + 1] = queue
    end
  end
  return found
end

-- Looks for doorbells that others pushed, from `cursor` ("<route> <rank>") on and at `most` queues. Returns the queues
-- that it found, and where to go on.
function routes.find(cursor, most)
  local found, known = {}, routes.all()
  local id, rank = string.match(cursor or '', '^(%S+) (%d+)$')
  local at = 1
  for i, one in ipairs(known) do
    if one == id then at = i end
  end
  rank = known[at] == id and tonumber(rank) or 0
  for _ = 1, #known do
    while most > 0 do
      local page = call('ZRANGE', ns .. 'route:' .. known[at], int(rank), int(rank + 63))
      if #page == 0 then break end
      for _, queue in ipairs(find_among(page)) do found[#found + 1] = queue end
      rank, most = rank + #page, most - #page
    end
    if most <= 0 then break end
    at, rank = at % #known + 1, 0
  end
  return found, known[at] and known[at] .. ' ' .. int(rank)
end

local function write_known(known)
  routes.known, routes.having = known, {}
  if #known > 0 then
    call('HSET', ns .. 'meta', 'routes', table.concat(known, ' '))
  else
    call('HDEL', ns .. 'meta', 'routes', 'looked')
    call('DEL', ns .. 'ringing')
  end
end

local function forget_route(id)
  if call('EXISTS', ns .. 'travels:' .. id) == 1 then return end
  call('DEL', ns .. 'route:' .. id, ns .. 'idle:' .. id)
  local rest = {}
  for _, one in ipairs(routes.all()) do
    if one ~= id then rest[#rest + 1] = one end
  end
  write_known(rest)
end

function routes.leave(owner)
  local id = call('HGET', ns .. 'takes:' .. owner, 'route')
  if not id then return end
  call('SREM', ns .. 'idle:' .. id, owner)
  call('SREM', ns .. 'travels:' .. id, owner)
  call('HDEL', ns .. 'takes:' .. owner, 'route')
  forget_route(id)
end

-- A starting owner has these queues.
function routes.join(owner, queues)
  routes.leave(owner)
  if #queues < 2 then return end
  local id = '*' .. string.sub(redis.sha1hex(table.concat(queues, ' ')), 1, 16)
  call('SADD', ns .. 'travels:' .. id, owner)
  call('HSET', ns .. 'takes:' .. owner, 'route', id)
  if call('EXISTS', ns .. 'route:' .. id) == 0 then
    for i, queue in ipairs(queues) do call('ZADD', ns .. 'route:' .. id, 'NX', int(i), queue) end
    local known = { id }
    for _, one in ipairs(routes.all()) do known[#known + 1] = one end
    write_known(known)
  end
  routes.find(id .. ' 0', #queues)
end

-- The reap of a release before leaves an owner on its route.
function routes.tidy()
  for _, id in ipairs(routes.all()) do
    for _, owner in ipairs(call('SRANDMEMBER', ns .. 'travels:' .. id, BOUND)) do
      if not call('ZSCORE', ns .. 'owners', owner) then call('SREM', ns .. 'travels:' .. id, owner) end
    end
    forget_route(id)
  end
end
