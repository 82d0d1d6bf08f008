-- RQ's names of a namespace's queues, in this release and in the one before.
-- Needs: base

-- RQ's name of a queue is '<namespace, its dots doubled>.<queue>' (keys.queue_name in Python). Without the doubling,
-- queue 'slow' of 'shop' and the own queue of 'shop.slow' would be one list, and each app would throw away the other's
-- bells. The release before did not double; its names are read as what they meant.
local namespace, doubled, dotted
local read_of
at_begin[#at_begin + 1] = function()
  if read_of == ns then return end
  read_of, namespace = ns, string.sub(ns, 2, -3)
  doubled, dotted = namespace, string.find(namespace, '.', 1, true) ~= nil
  if dotted then doubled = string.gsub(namespace, '%.', '..') end
end
local function queue_of(name)
  if not dotted or not name then return name end
  if name == namespace then return doubled end
  if string.sub(name, 1, #namespace + 1) == namespace .. '.' and string.find(name, '^%w', #namespace + 2) then
    return doubled .. string.sub(name, #namespace + 1)
  end
  return name
end

-- Whether a queue is this namespace's, by its name of this release.
local function owns_queue(name)
  if name == doubled then return true end
  return string.sub(name, 1, #doubled + 1) == doubled .. '.' and string.sub(name, #doubled + 2, #doubled + 2) ~= '.'
end

-- The name under which the release before knew a queue, where it was another one.
local function former_name(queue)
  if dotted and owns_queue(queue) then return namespace .. string.sub(queue, #doubled + 1) end
end
