-- Purpose: a client says what the store lost of what it had answered to it. Clients that say so within a minute tell of
--          one rewind.
-- Include: base
-- ARGV: client, writes (how many of its writes are gone), first, last (when the first and the last of them were
--       answered, in ms; 0: none is known), emptied ('1': the namespace is not the one it was), together_ms, keep_ms
-- Reply: {'told'}
-- Errors: none
-- Atomic because several clients tell of one rewind at once.
unasked = true
local rewind = ns .. 'rewind'
local r = fields(rewind, 'at', 'first', 'last', 'by:' .. a.client)
if r['by:' .. a.client] then return { 'told' } end -- sent again
if not r.at or now - tonumber(r.at) > a.together_ms then
  call('DEL', rewind)
  r = { at = int(now) }
end
local first, last = tonumber(r.first or '0'), math.max(tonumber(r.last or '0'), a.last)
if a.first > 0 and (first == 0 or a.first < first) then first = a.first end
call('HSET', rewind, 'at', r.at, 'first', int(first), 'last', int(last))
call('HINCRBY', rewind, 'writes', a.writes)
call('HINCRBY', rewind, 'clients', 1)
call('HSET', rewind, a.emptied == '1' and 'emptied' or 'back', '1')
if call('HLEN', rewind) < BOUND then call('HSET', rewind, 'by:' .. a.client, '1') end
call('PEXPIRE', rewind, int(a.keep_ms))
call('HSET', ns .. 'meta', 'rewound', int(now)) -- what a client of the release before looks at
return { 'told' }
