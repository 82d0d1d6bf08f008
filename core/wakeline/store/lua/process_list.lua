-- Purpose: one page of processes of one status, newest first.
-- Include: base process
-- ARGV: status, limit, score ('+inf' or where the last page ended), member ('' or the last id of that score), kind?, engine? (its name), sid?,
--       waiting? (signal name)
-- Reply: {rows [pid, fields, spec]*, next score or '', next member}; a page may hold fewer rows than the limit while more follow
-- Atomic only so that a row's status is that of the index it was read from.
local rows, seen, score, member = {}, 0, '', ''
local page = call('ZREVRANGEBYSCORE', ns .. 'idx:' .. a.status, a.score, '-inf', 'WITHSCORES', 'LIMIT', '0', int(BOUND * 2))
for i = 1, #page, 2 do
  local pid = page[i]
  if a.member == '' or tonumber(page[i + 1]) < tonumber(a.score) or pid < a.member then
    seen, score, member = seen + 1, page[i + 1], pid
    local p = fields(proc_key(pid), 'k', 'sid', 'ws')
    local keep = p.k and (not a.kind or p.k == a.kind) and (not a.sid or p.ws == a.sid or p.sid == a.sid)
    -- The input may be of any size; an engine's name stands at its beginning.
    if keep and a.engine then
      keep = string.find(call('GETRANGE', ns .. 'spec:' .. pid, 0, 511), '"input":{"type":"engine","kind":' .. quote(a.engine), 1, true)
    end
    if keep and a.waiting then keep = call('HEXISTS', proc_key(pid), 'n:' .. a.waiting) == 1 end
    if keep then rows[#rows + 1] = { pid, call('HGETALL', proc_key(pid)), call('GET', ns .. 'spec:' .. pid) or '' } end
    if #rows >= a.limit or seen >= BOUND then return { rows, score, member } end
  end
end
return { rows, '', '' }
