-- Purpose: forget a schedule that is not declared any more.
-- Include: base
-- ARGV: name
-- Reply: {'removed'} | {'not_found'}
-- Atomic because a due time without its schedule would be looked at again and again.
local there = call('ZREM', ns .. 'cron', a.name)
call('DEL', ns .. 'schedule:' .. a.name)
return { there == 1 and 'removed' or 'not_found' }
