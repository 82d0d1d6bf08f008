-- Registrations: what stands behind the input of one, and its text without the input. Lists show nothing of the input,
-- which may be most of the text.
-- Needs: base
local registrations = {}
registrations.LONG = 1024 -- bytes of a text that is worth a cut

-- The place of the input in a text, and what stands behind it. A payload may hold the words that end it, and so may the
-- call that a process carries out. So what follows has to decode to the rest of a registration; nil if it does not.
function registrations.parts(spec)
  local from, to = string.find(spec, '"input":{', 1, true), string.match(spec, '.*()},"identity":{')
  if not from or not to or to < from then return end
  local is_read, rest = pcall(cjson.decode, '{' .. string.sub(spec, to + 2))
  if is_read and type(rest) == 'table' and rest.queue and rest.incarnation then return from, to, rest end
end

-- What stands behind the input of a process, as data; without it all of it, or nil where the text cannot be read.
function registrations.rest(pid)
  local spec = call('GET', ns .. 'spec:' .. pid) or ''
  local _, _, rest = registrations.parts(spec)
  if rest then return rest end
  local is_read, data = pcall(cjson.decode, spec)
  if is_read and type(data) == 'table' then return data end
end

-- The text, where it is long with an empty input.
function registrations.brief(spec)
  if #spec <= registrations.LONG then return spec end
  local from, to = registrations.parts(spec)
  if not from then return spec end
  return string.sub(spec, 1, from - 1) .. '"input":{"type":"external"' .. string.sub(spec, to)
end
