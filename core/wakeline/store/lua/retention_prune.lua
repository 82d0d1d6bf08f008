-- Purpose: go on with what a tick began to prune.
-- Include: retention
-- ARGV: retention_ms, tombstone_ms
-- Reply: {pruned, ms to the next slice or '' (nothing is left)}
-- Atomic because of a process its record, log and index entry go together, and its tombstone is there from then on.
return { retain() }
