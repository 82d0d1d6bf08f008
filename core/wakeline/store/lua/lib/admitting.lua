-- Admitting: the batch of a turn is fixed at its first claim. It is the pending entries in order, up to `max`, and a
-- later run of the same turn gets the same batch. `agent_policy` is what the code that runs this turn says of its turns
-- ('' = the defaults, nil = what is in force); it decides for this batch. Returns {rev, state JSON or '', [n, body,
-- swallowed]*, frame or '', follow-on turns so far, followed ('1'|'0')}, bytes of it
-- Needs: base journal policies entries
local function admit_batch(pid, sid, max, agent_policy)
  local bodies, journal, head = ns .. 'wakes:' .. sid, ns .. 'journal:' .. pid, ns .. 'sess:' .. sid
  local s = fields(head, 'ag', 'half', 'rev', 'fr', 'fo', 'df', 'dl')
  if agent_policy and s.ag then policies[s.ag] = object(agent_policy) or {} end
  local batch = call('HGET', journal, '@inbox')
  if not batch then
    local policy, numbers, wanted = policy_of(s.ag), {}, false
    local most = math.min(max, tonumber(s.half or max))
    for _, entry in ipairs(call('XRANGE', ns .. 'inbox:' .. sid, '-', '+', 'COUNT', policy.k and BOUND or int(most))) do
      local n, kind = string.match(entry[1], '^%d+'), entry[2][2]
      if not admits(policy, kind) then
        entries.drop(sid, n, 'not_admissible')
      else
        if kind == 'command' and #numbers > 0 then break end
        numbers[#numbers + 1] = n
        wanted = wanted or kind ~= 'follow_on'
        entries.admit(sid, n, pid)
        if kind == 'command' or #numbers >= most then break end
      end
    end
    batch = table.concat(numbers, ',')
    if s.df or s.dl then call('HDEL', head, 'df', 'dl') end
    -- Only turns that follow a switch of frames alone are counted.
    if wanted and s.fo then
      call('HDEL', head, 'fo')
      s.fo = nil
    end
    call('HSET', proc_key(pid), 'ma', int(policy.t or 5))
    write_row(pid, { k = '@inbox', v = batch })
  end
  local batched, state = {}, call('GET', ns .. 'state:' .. sid) or ''
  local used = #state
  for n in string.gmatch(batch, '%d+') do
    local entry = call('HMGET', bodies, n, n .. ':c')
    local body = entry[1] or ''
    batched[#batched + 1] = { n, body, entry[2] or '0' }
    used = used + #body
  end
  local is_followed = call('EXISTS', ns .. 'followed:' .. sid) == 1
  return { s.rev, state, batched, s.fr or '', s.fo or '0', is_followed and '1' or '0' }, used
end
