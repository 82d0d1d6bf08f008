-- Purpose: what has changed of what the waiters of a client wait for; its tailer is told of what changes later.
-- Include: base tails
-- ARGV: tailer, keep_ms (how long its stream is kept without a look), look? (by the tailer itself: the stream is kept
--       from now on), rows [[what, id, after]*] (256 at most; end | event and a process, with the number of an event;
--       feed and a session, with the number of an item; entry and <sid>#<n>), left? [[what, id]*] (what nothing waits
--       for any more), followed_ms (how long a session counts as followed), over? (nothing waits for anything)
-- Reply: {the place of each row that has changed, from 1}
-- Errors: none. A mark that cannot be written is left out: a client that is not told looks once a second.
-- Atomic because what changes between the look and the mark would be told to no one.
unasked = true
local stream, changed = ns .. 'told:' .. a.tailer, {}
-- All writes are tried (pcall): a server may take none now, and a user may only read.
local function set(key, field, mark)
  if mark == '' then
    redis.pcall('HDEL', key, field)
  elseif mark then
    redis.pcall('HSET', key, field, mark)
  end
end

local function bodies_of(id)
  local sid, n = string.match(id, '^(.*)#(%d+)$')
  return ns .. 'wakes:' .. sid, n
end

-- What a look finds without its mark is not what the waiter saw: the store went back. So has a log that is shorter than
-- what a follower was told. Each waiter reads again.
local function has_event(pid, after, every)
  local p = fields(proc_key(pid), 'st', 'seq', 'tl')
  local seq = num(p.seq, 0)
  if not p.st or ENDED[p.st] or (every and (seq > after or (a.look and seq < after))) then return true end
  local mark = tails.with(p.tl, a.tailer, every and '+' or '')
  set(proc_key(pid), 'tl', mark)
  return mark and a.look
end

-- A session that nothing followed for a while is followed anew, by the waiter.
local function has_item(sid, after)
  local s = fields(ns .. 'sess:' .. sid, 'fd', 'gone', 'cl')
  local key = ns .. 'followed:' .. sid
  local followers = call('GET', key)
  if not followers or num(s.fd, 0) ~= after or (s.gone and not s.cl) then return true end
  local mark = tails.with(followers, a.tailer, '')
  if mark then
    redis.pcall('SET', key, mark, 'PX', int(a.followed_ms))
    return a.look
  elseif a.look then
    redis.pcall('PEXPIRE', key, int(a.followed_ms))
  end
end

local function is_concluded(id)
  local bodies, n = bodies_of(id)
  local state, mark = call('HGET', bodies, n .. ':s'), call('HGET', bodies, n .. ':t')
  local verb = string.match(state or '', '^%a*')
  if verb ~= 'delivered' and verb ~= 'admitted' and verb ~= 'blocked' then return true end
  mark = tails.with(mark, a.tailer, '')
  set(bodies, n .. ':t', mark)
  return mark and a.look
end

local function leave(what, id)
  if what == 'feed' then
    local mark = tails.without(call('GET', ns .. 'followed:' .. id), a.tailer)
    if mark then redis.pcall('SET', ns .. 'followed:' .. id, mark, 'KEEPTTL') end
  elseif what == 'entry' then
    local bodies, n = bodies_of(id)
    set(bodies, n .. ':t', tails.without(call('HGET', bodies, n .. ':t'), a.tailer))
  else
    set(proc_key(id), 'tl', tails.without(call('HGET', proc_key(id), 'tl'), a.tailer))
  end
end

if a.over then
  redis.pcall('UNLINK', stream)
elseif a.look or call('EXISTS', stream) == 0 then
  if redis.pcall('PEXPIRE', stream, int(a.keep_ms)) == 0 then
    redis.pcall('XADD', stream, '*', 't', '')
    redis.pcall('PEXPIRE', stream, int(a.keep_ms))
  end
end
for _, one in ipairs(a.left or {}) do leave(one[1], one[2]) end
for i, row in ipairs(a.rows) do
  local what, id, after = unpack(row)
  local found
  if what == 'feed' then
    found = has_item(id, after)
  elseif what == 'entry' then
    found = is_concluded(id)
  else
    found = has_event(id, after, what == 'event')
  end
  if found then changed[#changed + 1] = i end
end
return changed
