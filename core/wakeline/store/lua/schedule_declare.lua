-- Purpose: make a declared schedule known, and when it is due next; one that is known and unchanged stays as it is.
-- Include: base declarations
-- ARGV: name, schedule (JSON), hash, due? (ms; absent = only ask), app?, declares? (the release, and what tells its
--       declarations)
-- Reply: {'due', due, now} | {'unplanned', now} (unknown or changed: ask again with the next due time) | {'other', now}
--        (another release's declarations are in force)
-- Atomic because of two releases that declare it differently one decides, wholly.
if a.declares and declarations.in_force(a.app) ~= a.declares then return { 'other', int(now) } end
local key = ns .. 'schedule:' .. a.name
local planned = call('HGET', key, 'h') == a.hash and call('ZSCORE', ns .. 'cron', a.name)
if planned then return { 'due', planned, int(now) } end
if not a.due then return { 'unplanned', int(now) } end
call('HSET', key, 's', a.schedule, 'h', a.hash)
call('ZADD', ns .. 'cron', int(a.due), a.name)
return { 'due', int(a.due), int(now) }
