-- Purpose: make a process, session or host an owner of attachments that one of the givers owns (none given: the app
--          itself gives). All or none, or what there is.
-- Include: base attachments
-- ARGV: ids, from?, to, partly? (what no giver owns is left out)
-- Reply: {'shared'} | {'none', id}
-- Atomic because what is passed on must not be removed between the look and the new owner.
local owned = {}
for _, id in ipairs(a.ids) do
  local there = call('HEXISTS', att_key(id), 'l') == 1
  local given = there and not a.from
  for _, owner in ipairs(there and a.from or {}) do
    given = given or call('HEXISTS', att_key(id), 'o:' .. owner) == 1
  end
  if given then owned[#owned + 1] = id elseif not a.partly then return { 'none', id } end
end
for _, id in ipairs(owned) do attachments.own(id, a.to) end
return { 'shared' }
