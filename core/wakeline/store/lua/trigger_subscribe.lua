-- Purpose: subscribe to a source; the same name of the same owner again is the same subscription, with other content a
--          new revision of it.
-- Include: base
-- ARGV: source, id, sub (JSON), hash, key? (only occurrences of this source key), owner? (the session it goes with),
--       revision? (must still be this one), limit (of one source)
-- Reply: {'subscribed'|'same', revision, enabled '1'|'0'} | {'changed', revision} | {'full'} | {'gone', sid, deleted
--        at}
-- Atomic because two releases that subscribe at once must not leave a mixture of both.
local gone = a.owner and call('HGET', ns .. 'sess:' .. a.owner, 'gone')
if gone then return { 'gone', a.owner, gone } end
local subs = ns .. 'subs:' .. a.source
local old = fields(subs, a.id .. ':h', a.id .. ':r', a.id .. ':e')
local revision, enabled = tonumber(old[a.id .. ':r'] or '0'), old[a.id .. ':e'] or '1'
if a.revision and a.revision ~= revision then return { 'changed', int(revision) } end
if old[a.id .. ':h'] == a.hash then return { 'same', int(revision), enabled } end
if revision == 0 and call('HLEN', subs) >= a.limit * 6 then return { 'full' } end
call('HSET', subs, a.id, a.sub, a.id .. ':h', a.hash, a.id .. ':r', int(revision + 1), a.id .. ':e', enabled,
  a.id .. ':k', a.key or '', a.id .. ':o', a.owner or '')
call('SADD', ns .. 'sources', a.source)
if a.owner then call('SADD', ns .. 'subscribed:' .. a.owner, a.source .. ' ' .. a.id) end
return { 'subscribed', int(revision + 1), enabled }
