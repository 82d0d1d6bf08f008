-- Purpose: say which queues the bodies of an app are declared for, and learn for which they ever were: what was started
--          in one stays in it.
-- Include: base
-- ARGV: app (its name), queues (RQ's names)
-- Reply: queues (those that were given, then those of releases before)
-- Atomic because two workers that start at once must both be remembered.
local known, seen = call('HGET', ns .. 'declared', a.app) or '', {}
local all = {}
local function keep(queue)
  if not seen[queue] then
    seen[queue] = true
    all[#all + 1] = queue
  end
end
for _, queue in ipairs(a.queues) do keep(queue) end
for queue in string.gmatch(known, '[^ ]+') do keep(queue) end
local text = table.concat(all, ' ')
if text ~= known then call('HSET', ns .. 'declared', a.app, text) end
return all
