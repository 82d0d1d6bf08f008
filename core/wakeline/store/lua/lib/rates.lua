-- Rates: a limit on how many begin in a time, in cells.
-- Needs: base letters limits
local rates = {}

local FINEST = 1000 -- so many moments of one time are told apart; a rate of more than that is counted in steps

-- An entry of begun:<limit>: a moment, how many had begun before it, and how many with it.
local function entry_of(text)
  local at, before, after = string.match(text, '^(%d+):(%d+):(%d+)$')
  return tonumber(at), tonumber(before), tonumber(after)
end

local function step_of(limit) return limit.n > FINEST and math.floor(limit.w / FINEST) or 1 end

local function note_begun(id, limit, at, before, after, in_place)
  local key, text = ns .. 'begun:' .. id, string.format('%d:%d:%d', at, before, after)
  if in_place then call('LSET', key, -1, text) else call('RPUSH', key, text) end
  call('PEXPIRE', key, int(limit.w + step_of(limit)))
end

-- How many began within the time of a rate, and when the first of them are not within it any more (nil where none did).
local function begun_within(id, limit)
  local key = ns .. 'begun:' .. id
  local last = call('LINDEX', key, -1)
  if not last then
    -- What the release before counted, or a rate with bursts did, counts as if it began now.
    local ahead = math.ceil((tonumber(call('GET', ns .. 'rate:' .. id) or '0') - now) * limit.n / limit.w)
    if ahead <= 0 then return 0 end
    local n = math.min(limit.n, ahead)
    note_begun(id, limit, now, 0, n)
    return n, now + limit.w
  end
  local at, _, after = entry_of(last)
  if at + limit.w <= now then
    call('DEL', key)
    return 0
  end
  local first, before = entry_of(call('LINDEX', key, 0))
  for _ = 1, BOUND do
    if first + limit.w > now then break end
    call('LPOP', key)
    first, before = entry_of(call('LINDEX', key, 0))
  end
  if at > now + step_of(limit) + 1000 then
    -- The clock jumped back: what began at a later time by this clock began now at the latest.
    call('DEL', key)
    note_begun(id, limit, now, 0, after - before)
    first = now
  end
  return after - before, first + limit.w
end

-- With bursts: the moment until which what began has used the rate up (the generic cell rate algorithm).
local function used_up_to(id, limit)
  local at = tonumber(call('GET', ns .. 'rate:' .. id) or '0')
  return math.max(now, math.min(at, now + limit.b * limit.w / limit.n))
end

-- How many may begin now, beside those that were given a cell; where none, when to ask again (nil: when one of those
-- begins, or gives its cell back).
function rates.cells_left(id, limit)
  local given = call('SCARD', ns .. 'cells:' .. id)
  if limit.b then
    local each, at = limit.w / limit.n, used_up_to(id, limit)
    -- The moment is kept to a thousandth of a ms.
    local free = math.floor((now + limit.b * each - at + 0.01) / each) - given
    return free, math.ceil(at + (given + 1 - limit.b) * each)
  end
  local n, at = begun_within(id, limit)
  return limit.n - n - given, at
end

function rates.count_beginning(id, limit)
  if limit.b then
    local each = limit.w / limit.n
    local used_up = string.format('%.3f', used_up_to(id, limit) + each)
    return call('SET', ns .. 'rate:' .. id, used_up, 'PX', int(each * (limit.b + 1) + 1))
  end
  local step, n = step_of(limit), begun_within(id, limit)
  local at = step > 1 and (math.floor(now / step) + 1) * step - 1 or now
  local last, before, after = 0, 0, 0
  if n > 0 then last, before, after = entry_of(call('LINDEX', ns .. 'begun:' .. id, -1)) end
  if last >= at then
    note_begun(id, limit, last, before, after + 1, true)
  else
    note_begun(id, limit, at, after, after + 1)
  end
end

-- Gives the cells that are left to the processes that wait, in order, and sets a timer for the next cell.
function rates.give_cells(id)
  if limits.stands_still(id) then return end
  local limit, line = limits.of(id), ns .. 'rated:' .. id
  while limits.passed < BOUND do
    if call('EXISTS', line) == 0 then return call('SREM', ns .. 'rating', id) end
    local rated = limit and limit.n
    local left, at = 1, nil
    if rated then left, at = rates.cells_left(id, limit) end
    if left <= 0 then
      if at then call('ZADD', ns .. 'timers', int(math.max(at, now + 1)), TIMER.cells .. id) end
      return at
    end
    local pid, p = limits.next_of(line, 'rd', id)
    if pid then
      if rated then
        call('SADD', ns .. 'cells:' .. id, pid)
        call('ZADD', ns .. 'given', int(now), pid)
        call('HSET', proc_key(pid), 'ce', id)
      end
      limits.offer(pid, p, false)
      limits.passed = limits.passed + 1
    end
  end
end

function rates.leave_cell(pid, p)
  local id = p.ce
  p.ce = nil
  call('HDEL', proc_key(pid), 'ce')
  call('SREM', ns .. 'cells:' .. id, pid)
  rates.give_cells(id)
end
