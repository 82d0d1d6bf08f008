-- Schedules: they need code, so the worker that ticks is only told which are due.
-- Needs: base

local function due_schedules()
  local schedules, cron = {}, ns .. 'cron'
  local page = call('ZRANGEBYSCORE', cron, '-inf', int(now), 'WITHSCORES', 'LIMIT', 0, 16)
  for i = 1, #page, 2 do
    schedules[#schedules + 1] = { page[i], page[i + 1], call('HGET', ns .. 'schedule:' .. page[i], 's') or '' }
  end
  return schedules
end

-- When the next timer or schedule is due, nil where there is none.
local function next_due()
  local first = call('ZRANGE', ns .. 'timers', 0, 0, 'WITHSCORES')[2]
  local soon = call('ZRANGEBYSCORE', ns .. 'cron', '(' .. int(now), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
  if soon and (not first or tonumber(soon) < tonumber(first)) then return soon end
  return first
end
