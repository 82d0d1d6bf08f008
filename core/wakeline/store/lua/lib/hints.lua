-- Hints: a word to one worker, which may be lost.
-- Needs: base

-- A hint may be lost (state decides, the tick looks again), so the list lives no longer than it can be of use.
local function hint(owner, message)
  local key = ns .. 'notify:' .. owner
  call('RPUSH', key, message)
  call('PEXPIRE', key, 10000)
end

-- A word to the run that has a process now; no later one listens to it. The process comes last, where every release
-- looks for it.
local function hint_run(pid, p, verb) hint(p.ow, verb .. ' ' .. p.cl .. ' ' .. word(pid)) end

local nobody_idle
at_begin[#at_begin + 1] = function() nobody_idle = {} end
local function hint_idle(queue)
  for _ = 1, nobody_idle[queue] and 0 or 4 do
    local owner = call('SPOP', ns .. 'idle:' .. queue)
    if not owner then
      nobody_idle[queue] = true
      return
    end
    if call('ZSCORE', ns .. 'owners', owner) then return hint(owner, 'bell') end
  end
end

-- A due time before the next tick of any worker: one idle worker ticks sooner.
local function hint_timer(queue, due)
  if due >= now + 1000 then return end
  local owner = call('SRANDMEMBER', ns .. 'idle:' .. queue)
  if owner then hint(owner, 'timer ' .. int(due)) end
end
