-- Purpose: write what a release says of limits and agents, where its declarations are in force, or come into force by
--          this.
-- Include: base declarations
-- ARGV: app, declares (the release, and what tells its declarations), limits {name: JSON, '' for none}, agents {name:
--       what its turns take, '' for the defaults}, how (named: it is put in force | patient: it may come into force |
--       same: only where it is), whole? (its schedules are written, too)
-- Reply: {'written'} | {'other', the release whose declarations are in force}
-- Atomic because limits of two releases would not fit together.
local current = declarations.in_force(a.app)
if a.how == 'named' then
  call('ZADD', ns .. 'appeared', int(now), a.app .. ' ' .. a.declares)
  if current ~= a.declares then declarations.put_in_force(a.app, a.declares) end
  if declarations.serves(a.app, a.declares) then
    call('HDEL', ns .. 'inforce', a.app .. ':l')
  else
    call('HSET', ns .. 'inforce', a.app .. ':l', int(now + declarations.NAMED))
  end
elseif a.how == 'patient' and declarations.comes_into_force(a.app, a.declares, true) then
  if not declarations.serves(a.app, a.declares) then call('HSET', ns .. 'inforce', a.app .. ':l', int(now)) end
elseif current ~= a.declares then
  return { 'other', current or '' }
end
declarations.write(a.limits, a.agents)
if a.whole then call('HDEL', ns .. 'inforce', a.app .. ':p') end
return { 'written' }
