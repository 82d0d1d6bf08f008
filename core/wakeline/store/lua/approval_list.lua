-- Purpose: a page of approvals that can be answered, those that were asked first first; or one of them.
-- Include: base approvals
-- ARGV: limit, since? and id? (where the last page ended), one? (only the approval of this slot)
-- Reply: {rows [slot, since ('' of one that is not listed), pid, kind, due or '', its event or '', schema or '',
--        process fields, spec]*, next since or '', next slot, of one that is not open: when it was answered ('0': not
--        known) or ''}; a page may hold fewer rows than the limit while more follow
-- Atomic because an approval must not be shown with the state of another moment.
local list = ns .. 'idx:approvals'
local rows = {}

local function show(id, since)
  local slot = fields(ns .. 'slot:' .. id, 'p', 'k', 'r', 'z', 'd', 'sh', 'es')
  local p = slot.p and fields(proc_key(slot.p), 'st', 'k', 'cr') or {}
  if not approvals.is_open(slot, p) then return end
  local event = slot.es and call('XRANGE', ns .. 'events:' .. slot.p, slot.es .. '-0', slot.es .. '-0')[1]
  rows[#rows + 1] = {
    id, since, slot.p, slot.k, slot.d or '', event and event[2][4] or '',
    slot.sh and call('GET', ns .. 'schema:' .. slot.sh) or '',
    call('HGETALL', proc_key(slot.p)), call('GET', ns .. 'spec:' .. slot.p) or '',
  }
end

if a.one then
  local since = call('ZSCORE', list, a.one)
  if since then show(a.one, since) end
  -- One that a release before answered is known by its slot, while that is there.
  local at, pid = call('GET', ns .. 'answer:' .. a.one), call('HGET', ns .. 'slot:' .. a.one, 'p')
  local was = pid and call('SISMEMBER', ns .. 'answered:' .. pid, a.one) == 1
  return { rows, '', '', #rows == 0 and (at or was and '0') or '' }
end

-- The first rank behind an approval that may have been answered since: behind it are all that were asked later, and of
-- its own moment those with a higher id.
local function rank_behind(since, id)
  local from, to = 0, call('ZCARD', list)
  while from < to do
    local middle = math.floor((from + to) / 2)
    local at = call('ZRANGE', list, int(middle), int(middle), 'WITHSCORES')
    local score = tonumber(at[2])
    if score < since or (score == since and at[1] <= id) then from = middle + 1 else to = middle end
  end
  return from
end

local from = a.id and rank_behind(tonumber(a.since), a.id) or 0
local page = call('ZRANGE', list, int(from), int(from + BOUND - 1), 'WITHSCORES')
for i = 1, #page, 2 do
  show(page[i], page[i + 1])
  if #rows >= a.limit then return { rows, page[i + 1], page[i] } end
end
if #page == 2 * BOUND then return { rows, page[#page], page[#page - 1] } end
return { rows, '', '' }
