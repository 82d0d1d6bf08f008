-- Purpose: a worker start introduces itself under a fresh random id.
-- Include: base declarations queues routes ticked doorbell aside misfits
-- ARGV: owner, lease_ms, queues, limits? {name: JSON, '' for none}, agents? {name: what its turns take, '' for the
--       defaults}, app? (its name), release? (of its code), declares? (the release, and what tells its declarations),
--       patient? (a stock worker's job, which runs no agent of its own for long) codes? [what it can run]*, build?
--       (what tells its code from other code of a release of its name), turns? (JSON {agent: [max, policy]}: what a
--       take says of them, for turns that are handed to it)
-- Reply: {'registered', now, when it was ticked last or '', declares ('1': its declarations are in force), unwritten
--        ('1': not its schedules), what its release goes by or ''} | {'conflict', agent, app} (a live worker of another
--        app runs that agent)
-- Atomic because an owner without an expiry is never reaped (race 3), and of two apps that both start one must see the
--        other.
if a.app and a.agents and not a.patient then
  local rows = call('HGETALL', ns .. 'apps')
  for i = 1, #rows, 2 do
    local app, theirs = string.match(rows[i + 1], '^(%S+) (.*)$')
    local expiry = tonumber(call('ZSCORE', ns .. 'owners', rows[i]) or '0')
    for agent in pairs(app ~= a.app and expiry > now and a.agents or {}) do
      if theirs and string.find(theirs, ',' .. agent .. ',', 1, true) then return { 'conflict', agent, app } end
    end
  end
  local names = ','
  for agent in pairs(a.agents) do names = names .. agent .. ',' end
  call('HSET', ns .. 'apps', a.owner, a.app .. ' ' .. names)
end
call('ZADD', ns .. 'owners', int(now + a.lease_ms), a.owner)
call('HDEL', ns .. 'suspects', a.owner)
call('HSET', ns .. 'leases', a.owner, int(a.lease_ms))
call('HSET', ns .. 'knows', a.owner, '2')
doorbell.choose_form()
local release = a.release and a.build and declarations.called(a.app or '-', a.release, a.build) or a.release
if release then call('HSET', ns .. 'releases', a.owner, release) end
for i, queue in ipairs(a.queues) do
  a.queues[i] = queue_of(queue)
  call('SADD', ns .. 'listens:' .. a.owner, a.queues[i])
end
routes.join(a.owner, a.queues)
if a.turns then call('HSET', ns .. 'takes:' .. a.owner, 'turns', a.turns) end
local declares = a.declares and declarations.serve_release(a.owner, a.app or '-', a.declares, a.patient)
local unwritten = declares and call('HEXISTS', ns .. 'inforce', (a.app or '-') .. ':p') == 1
if declares and (unwritten or not a.patient) then declarations.write(a.limits, a.agents) end
if a.codes then
  call('HSET', ns .. 'codes', a.owner, ' ' .. table.concat(a.codes, ' ') .. ' ')
  compare_codes()
end
-- A stock worker registers for each of its jobs, with no queues.
if #a.queues > 0 then misfits.look(release, 0) end
local ticked = ticks.last()
return {
  'registered', int(now), ticked and int(ticked) or '', declares and '1' or '0', unwritten and '1' or '0',
  release or '',
}
