-- Hints: a word to one worker, which may be lost.
-- Needs: base routes
local hints = {}

-- A hint may be lost (state decides, the tick looks again), so the list lives no longer than it can be of use.
function hints.send(owner, message)
  local key = ns .. 'notify:' .. owner
  call('RPUSH', key, message)
  call('PEXPIRE', key, 10000)
end

-- A word to the run that has a process now; no later one listens to it. The process comes last, where every release
-- looks for it.
function hints.send_to_run(pid, p, verb) hints.send(p.ow, verb .. ' ' .. p.cl .. ' ' .. word(pid)) end

-- Takes an owner that waits for work from a queue out of its set. Returns it, the set, and what is known of its takes.
local nobody_idle
at_begin[#at_begin + 1] = function() nobody_idle = {} end
function hints.find_idle(queue)
  if nobody_idle[queue] then return nil end
  local none = true
  for _, set in ipairs(routes.idle_sets(queue)) do
    local owner
    for _ = 1, 4 do
      owner = call('SPOP', set)
      if not owner then break end
      local last = fields(ns .. 'takes:' .. owner, 'request', 'next', 'lacks')
      -- The reap removes what is known of its takes.
      if last.request or last.next or call('ZSCORE', ns .. 'owners', owner) then return owner, set, last end
    end
    none = none and not owner
  end
  nobody_idle[queue] = none
end

-- Whether this script looked for an idle owner of a queue, and there was none.
function hints.found_none(queue) return nobody_idle[queue] end

function hints.wake_idle(queue)
  local owner = hints.find_idle(queue)
  if owner then hints.send(owner, 'bell') end
end

-- A due time before the next tick of any worker: one idle worker ticks sooner.
function hints.announce_timer(queue, due)
  if due >= now + 1000 then return end
  for _, set in ipairs(routes.idle_sets(queue)) do
    local owner = call('SRANDMEMBER', set)
    if owner then return hints.send(owner, 'timer ' .. int(due)) end
  end
end
