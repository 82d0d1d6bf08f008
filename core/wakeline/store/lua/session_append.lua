-- Purpose: append messages to a session's history, if its head is still the revision that their writer read.
-- Include: base history
-- ARGV: sid, ancestor? (the revision they follow; absent = any), messages [{m (JSON), id}] (at most 256; one whose id
--       is known is there already, so a resend finds all of them)
-- Reply: {'appended', revision} | {'stale', found} | {'not_found'} | {'gone', sid, deleted at}
-- Atomic because two writers that read the same head must not both go on from it.
local head = fields(ns .. 'sess:' .. a.sid, 'ag', 'gone', 'fr')
if head.gone then return { 'gone', a.sid, head.gone } end
if not head.ag then return { 'not_found' } end
local new, here = {}, {}
for _, message in ipairs(a.messages) do
  if not (here[message.id] or call('HEXISTS', ns .. 'mids:' .. a.sid, message.id) == 1) then new[#new + 1] = message end
  here[message.id] = true
end
if #new == 0 then return { 'appended', call('HGET', ns .. 'sess:' .. a.sid, 'rev') } end
local revision, found = commit(a.sid, a.ancestor, new, head.fr)
if not revision then return { 'stale', found } end
return { 'appended', revision }
