-- Purpose: what has changed of what the waiters of a client wait for; its tailer is told of what changes later.
-- Include: base tails
-- ARGV: tailer, keep_ms (how long its stream is kept without a look), look? (by the tailer itself: the stream is kept
--       from now on), rows [[what (end|event), pid, after (an event)]*] (256 at most), left? [pid*] (what nothing waits
--       for any more), over? (nothing waits for anything)
-- Reply: {the place of each row that has changed, from 1}
-- Errors: none. A mark that cannot be written is left out: a client that is not told looks once a second.
-- Atomic because what changes between the look and the mark would be told to no one.
unasked = true
local stream, changed = ns .. 'told:' .. a.tailer, {}
-- All writes are tried (pcall): a server may take none now, and a user may only read.
if a.over then
  redis.pcall('UNLINK', stream)
elseif a.look or call('EXISTS', stream) == 0 then
  if redis.pcall('PEXPIRE', stream, int(a.keep_ms)) == 0 then
    redis.pcall('XADD', stream, '*', 't', '')
    redis.pcall('PEXPIRE', stream, int(a.keep_ms))
  end
end
for _, pid in ipairs(a.left or {}) do
  local mark = tails.without(call('HGET', proc_key(pid), 'tl'), a.tailer)
  if mark == '' then
    redis.pcall('HDEL', proc_key(pid), 'tl')
  elseif mark then
    redis.pcall('HSET', proc_key(pid), 'tl', mark)
  end
end
for i, row in ipairs(a.rows) do
  local what, pid, after = unpack(row)
  local p = fields(proc_key(pid), 'st', 'seq', 'tl')
  if not p.st or ENDED[p.st] or (what == 'event' and num(p.seq, 0) > after) then
    changed[#changed + 1] = i
  else
    local mark = tails.with(p.tl, a.tailer, what == 'event' and '+' or '')
    if mark then redis.pcall('HSET', proc_key(pid), 'tl', mark) end
  end
end
return changed
