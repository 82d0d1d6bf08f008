-- Takers: which workers take from a queue. These functions only look.
-- Needs: base
local takers = {}

-- Our owners, each with the end of its lease, and of each queue those of them that live.
function takers.owners()
  if takers.expiry then return takers.expiry, takers.rows end
  takers.expiry, takers.rows, takers.listens, takers.alive = {}, {}, {}, 0
  local all = call('ZRANGE', ns .. 'owners', 0, BOUND - 1, 'WITHSCORES')
  for i = 1, #all, 2 do
    local owner, lives = all[i], tonumber(all[i + 1]) > now
    takers.expiry[owner] = tonumber(all[i + 1])
    takers.rows[#takers.rows + 1] = { owner, all[i + 1] }
    takers.alive = takers.alive + (lives and 1 or 0)
    for _, queue in ipairs(call('SMEMBERS', ns .. 'listens:' .. owner)) do
      takers.listens[queue] = takers.listens[queue] or {}
      takers.listens[queue][owner] = lives or nil
    end
  end
  return takers.expiry, takers.rows
end

-- The queues that an owner, dead or alive, takes from.
function takers.queues()
  takers.owners()
  local out = {}
  for queue in pairs(takers.listens) do out[#out + 1] = queue end
  return out
end

-- How many owners live.
function takers.number()
  takers.owners()
  return takers.alive
end

-- The names of the live workers that take from a queue, sorted: our owners by their lease, stock RQ workers by RQ's own
-- key, which expires with them.
function takers.of(queue)
  local expiry, names, prefix = takers.owners(), {}, rq .. ':worker:'
  for owner in pairs(takers.listens[queue] or {}) do names[owner] = true end
  for _, key in ipairs(call('SMEMBERS', rq .. ':workers:' .. queue)) do
    local name = string.sub(key, #prefix + 1)
    if not expiry[name] and call('EXISTS', key) == 1 then names[name] = true end
  end
  local out = {}
  for name in pairs(names) do out[#out + 1] = name end
  table.sort(out)
  return out
end

at_begin[#at_begin + 1] = function() takers.expiry = nil end
