-- History: the messages of a session, and the revision that every commit compares and raises.
-- Needs: base feed

-- Adds messages where the head is still the one that the writer read (absent: any). Returns the new revision, or nil
-- and the head. `by`: the turn that commits. Messages that were appended since it read do not contradict it, so it goes
-- on over revisions that are appends alone ('af').
local function commit(sid, read, messages, frame, state, by)
  local head = ns .. 'sess:' .. sid
  local s = fields(head, 'rev', 'af', 'hn')
  local from = by and s.af and tonumber(s.af) or tonumber(s.rev)
  if read and (tonumber(read) < from or tonumber(read) > tonumber(s.rev)) then return nil, s.rev end
  if by and s.af then call('HDEL', head, 'af') end
  if not by and not s.af then call('HSET', head, 'af', s.rev) end
  local rev, before, last = int(num(s.rev, 0) + 1), num(s.hn, 0), '0'
  if #messages > 0 then
    call('HSET', head, 'rev', rev, 'hn', int(before + #messages))
  else
    call('HSET', head, 'rev', rev)
  end
  if state then call('SET', ns .. 'state:' .. sid, state) end
  for i, message in ipairs(messages) do
    last = int(before + i)
    if type(message) == 'table' then
      if message.id then call('HSET', ns .. 'mids:' .. sid, message.id, last) end
      message = message.m
    end
    call('XADD', ns .. 'hist:' .. sid, last .. '-0', 'm', message, 'rev', rev, 'at', int(now), 'f', frame or '')
  end
  tell(sid, 'commit', 'rev', rev, 'by', by or '', 'c', #messages, 'l', last)
  return rev
end
