-- Purpose: enable, disable or remove a subscription.
-- Include: base triggers
-- ARGV: source, id, to ('1' enabled | '0' disabled | '' removed), owner? (only if it is this session's, '' for the
--       host's), revision? (must still be this one)
-- Reply: {'done', changed ('1'|'0'), revision} | {'changed', revision} | {'not_found'}
-- Atomic because the revision and the owner that were checked must be those that are switched.
local subs = ns .. 'subs:' .. a.source
local sub = fields(subs, a.id .. ':r', a.id .. ':e', a.id .. ':o')
local revision = sub[a.id .. ':r']
if not revision or (a.owner and sub[a.id .. ':o'] ~= a.owner) then return { 'not_found' } end
if a.revision and int(a.revision) ~= revision then return { 'changed', revision } end
if a.to == '' then
  unsubscribe(a.source, a.id)
  return { 'done', '1', revision }
end
if sub[a.id .. ':e'] == a.to then return { 'done', '0', revision } end
call('HSET', subs, a.id .. ':e', a.to)
return { 'done', '1', int(call('HINCRBY', subs, a.id .. ':r', 1)) }
