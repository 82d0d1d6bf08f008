-- Purpose: go on with what a tick began to prune, or prune ended processes that an operator named.
-- Include: base retention
-- ARGV: retention_ms, tombstone_ms, these? [pid, status, its time in the list of that status]* (only these)
-- Reply: {pruned, ms to the next slice or '' (nothing is left)} | {how many of these are done with, those that stayed
--        [pid, untold|unread|changed]*, ms that it took}
-- Atomic because of a process its record, log and index entry go together, and its tombstone is there from then on.
-- A removal as the first write (see owner_beat.lua): a server without memory needs this most.
call('HDEL', ns .. 'suspects', '')
if a.these then return { retention.of_these(a.these) } end
return { retention.go_on() }
