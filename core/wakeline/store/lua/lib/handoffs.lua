-- Hand-offs: a process that becomes runnable while an owner waits for work is claimed for it in the same step, and the
-- hint brings the claim.
-- An owner that runs nothing says under which id its next take will be ('next'). A hand-off is that take, done for it.
-- Where its hint is lost, the owner sends the take, a second later at most, and gets the same claim (race 34).
-- Needs: base queues routes hints doorbell rq code crashes claims limits
local handoffs = {}

handoffs.admit = false -- fixes the batch of a turn, where one can begin (lib/turns.lua)
handoffs.LONGEST = 16384 -- bytes; a longer claim is fetched by the take
handoffs.FRESH = 2500 -- ms; an idle owner looks once a second, so one that was silent for longer may be dead

local promises -- what this script hands over when it has done all else
at_begin[#at_begin + 1] = function() promises = nil end

-- Whether a process goes to an owner that was found idle: it looked of late, workers take from the queue, and nothing
-- waits there that the process would overtake, or in another queue of the owner. `one`: what is known of its takes.
local function promise(one, owner, set, queue)
  local id, at, seen, release = string.match(one.next or '', '^(%S+) (%d+) ([01]) (.*)$')
  local silent, place, former = id and now - at or -1, string.sub(set, #ns + 6), former_name(queue)
  if silent < 0 or silent > handoffs.FRESH or doorbell.gathers(queue) then return false end
  local lists = { rq .. ':suspended', rq .. ':queue:' .. queue, former and rq .. ':queue:' .. former }
  if call('EXISTS', unpack(lists)) > 0 or call('SISMEMBER', ns .. 'paused', queue) == 1 then return false end
  if place ~= queue and #routes.ringing(place) > 0 then return false end
  one.owner, one.set, one.id, one.seen, one.release = owner, set, id, seen == '1', release ~= '' and release or nil
  promises = promises or {}
  promises[#promises + 1] = one
  return true
end

-- Whether any owner with its code may run a process now: it stands in no line and meets no limit, no release left it to
-- others, it was not lost twice and not asked to end. A call of a tool may need a child of its worker, and is taken
-- (lib/isolates.lua).
local function may_be_handed(p, lacks)
  if p.k == 't' or p.mf or p.uf or p.as or p.hd or p.rd or p.ce or p.lm or p.cr or crashes.apart(p) then return end
  local code = lacks and code_of(p)
  return not (code and has_code(lacks, code)) and not limits.of('q:' .. p.q) and not (p.lk and limits.of(p.lk))
end

-- Returns false where it rang instead.
local function hand_over(one, pid)
  local p, takes, agent = load_whole(pid), ns .. 'takes:' .. one.owner, nil
  if p.st ~= 'queued' or p.ep ~= one.epoch then return true end
  if p.sid then
    -- What the owner's code says of turns: how many entries one takes at most, and which.
    agent = handoffs.admit and (object(call('HGET', takes, 'turns')) or NONE)[string.match(p.sid, '^[^/]+')]
  end
  if not may_be_handed(p, one.lacks) or p.sid and not agent then
    doorbell.put_first(pid, p.ep, p.q) -- what was put there since comes after it
    return false
  end
  local bell = doorbell.write_job(pid, p.ep, p.q, false)
  claim(pid, p, one.owner, one.id .. '-1', one.release, one.seen, bell, routes.bell_form())
  call('HSET', takes, 'request', one.id, 'pids', word(pid), 'next', '')
  executions.busy(one.owner)
  gather('SADD', rq .. ':queues', rq .. ':queue:' .. p.q) -- no push names it
  local row = claimed(pid, p, handoffs.LONGEST)
  if agent then row[9] = handoffs.admit(pid, p.sid, agent[1], agent[2]) end
  local text = row[8] ~= '0' and cjson.encode(row) or ''
  hints.send(one.owner, text ~= '' and #text <= handoffs.LONGEST and 'claim ' .. text or 'bell')
  return true
end

-- Has a worker look at a process. One that is promised to an idle worker needs no doorbell.
function handoffs.ring(pid, epoch, queue)
  local owner, set, last = hints.find_idle(queue)
  if owner and promise(last, owner, set, queue) then
    last.pid, last.epoch, last.queue = pid, epoch, queue
    return
  end
  doorbell.gather(pid, epoch, queue)
  if owner then hints.send(owner, 'bell') end
end

-- When the script has done all else, so that the claim has all that it wrote. An owner with free places hears of what
-- was rung for meanwhile, or stays in its set for what comes next.
at_last[#at_last + 1] = function()
  for _, one in ipairs(promises or NONE) do
    if hand_over(one, one.pid) and not hints.found_none(one.queue) then
      call('SADD', one.set, one.owner)
    else
      hints.send(one.owner, 'bell')
    end
  end
end
