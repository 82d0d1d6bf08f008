-- Purpose: the subscriptions of a source, or of the first 256 sources, and the schedules.
-- Include: base
-- ARGV: source? (absent = all)
-- Reply: {subs [source, id, sub, revision, enabled]*, schedules [name, schedule, due or '', last process or '']*}
-- Atomic because a subscription and its revision must be of one moment.
local sources = a.source and { a.source } or call('SMEMBERS', ns .. 'sources')
local subs, schedules = {}, {}
for i, source in ipairs(sources) do
  if i > BOUND then break end
  local all = call('HGETALL', ns .. 'subs:' .. source)
  local by = {}
  for n = 1, #all, 2 do by[all[n]] = all[n + 1] end
  for id, sub in pairs(by) do
    if by[id .. ':r'] then subs[#subs + 1] = { source, id, sub, by[id .. ':r'], by[id .. ':e'] } end
  end
end
if not a.source or a.source == 'cron' then
  for i, name in ipairs(call('ZRANGE', ns .. 'cron', 0, BOUND - 1)) do
    local s = fields(ns .. 'schedule:' .. name, 's', 'last')
    schedules[i] = { name, s.s or '', call('ZSCORE', ns .. 'cron', name) or '', s.last or '' }
  end
end
return { subs, schedules }
