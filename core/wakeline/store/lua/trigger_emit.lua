-- Purpose: record an occurrence and reserve its delivery for every subscription it reaches.
-- Include: base process cancel triggers
-- ARGV: source, source_key?, key, occ, hash, payload (JSON), kept_ms, cron? {name, due (it must still be due then),
--       next (when it is due next), id, sub, pid, overlap, void? (nothing occurs: only the next time is set)},
--       headers? (JSON: what instruments gave its emitter)
-- Reply: {'recorded'|'known', at, [sub id, state, sub or '']*} | {'conflict'} | {'stale'} (another worker fired this
--        schedule) | {'overlaps', pid} | {'moved'} (void)
-- Atomic because an occurrence with half of its deliveries would start some of what it should, and a schedule fired
--        twice would start all of it twice.
local key, cron = ns .. 'occ:' .. a.occ, a.cron
if cron then
  if call('ZSCORE', ns .. 'cron', cron.name) ~= int(cron.due) then return { 'stale' } end
  call('ZADD', ns .. 'cron', int(cron.next), cron.name)
  if cron.void then return { 'moved' } end
  local last = call('HGET', ns .. 'schedule:' .. cron.name, 'last')
  local p = last and load(last) or {}
  if p.st and not ENDED[p.st] then
    if cron.overlap == 'skip' then return { 'overlaps', last } end
    if cron.overlap == 'replace' and not p.cr then
      cancel.request(last, p, '{"reason":"replaced by the next of its schedule"}', 10000)
    end
  end
  call('HSET', ns .. 'schedule:' .. cron.name, 'last', cron.pid)
end

local function states()
  local out, all = {}, call('HGETALL', key)
  for i = 1, #all, 2 do
    local id = string.match(all[i], '^s:(.*)$')
    if id then out[#out + 1] = { id, all[i + 1], call('HGET', key, 'd:' .. id) or '' } end
  end
  return out
end

local known = fields(key, 'h', 'at')
if known.h then
  if known.h ~= a.hash then return { 'conflict' } end
  return { 'known', known.at, states() }
end
call('HSET', key, 'src', a.source, 'sk', a.source_key or '', 'ik', a.key, 'h', a.hash, 'p', a.payload,
  'at', int(now), 'n', '0')
if a.headers then call('HSET', key, 'hs', a.headers) end
local sign = string.find(a.payload, '^{"__claim__":"sha256:%x+"}$') and '+' or ''
if cron then
  reserve(a.occ, cron.id, sign .. cron.sub)
else
  local all = call('HGETALL', ns .. 'subs:' .. a.source)
  local by = {}
  for i = 1, #all, 2 do by[all[i]] = all[i + 1] end
  for id, sub in pairs(by) do
    local wanted = by[id .. ':k']
    if by[id .. ':e'] == '1' and (wanted == '' or wanted == a.source_key) then reserve(a.occ, id, sign .. sub) end
  end
end
if call('HGET', key, 'n') == '0' then call('PEXPIRE', key, int(a.kept_ms)) end
return { 'recorded', int(now), states() }
