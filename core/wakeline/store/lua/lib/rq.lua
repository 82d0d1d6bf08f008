-- What RQ shows of a run while we have it: its job, its worker and their registries.
-- Needs: base times doorbell
-- In s. Our scripts remove our entries from RQ's registries, so RQ's sweeps must never time them out.
local FAR = 31536000

local executions = {}

-- RQ's view of a run that begins. The worker's RQ name is its owner id. Most runs are over before the next beat, so its
-- execution is written by the beat (executions.show).
local far
function executions.begin(id, queue, owner, claim_id)
  call('HSET', rq .. ':job:' .. id, 'status', 'started', 'started_at', iso(now), 'worker_name', owner)
  far = far or int(now / 1000 + FAR)
  gather('ZADD', rq .. ':wip:' .. queue, far, id .. ':' .. claim_id)
end

-- The execution of a run that a beat found: what rq.executions.prepare_execution writes (a worker's current executions
-- are only those that have their hash).
function executions.show(id, owner, claim_id, since)
  local seconds, composite = string.format('%.3f', since / 1000), id .. ':' .. claim_id
  call('HSET', rq .. ':execution:' .. composite, 'id', claim_id, 'job_id', id, 'created_at', seconds,
    'last_heartbeat', seconds, 'worker_name', owner)
  call('ZADD', rq .. ':executions:' .. id, int(now / 1000 + FAR), claim_id)
  gather('SADD', rq .. ':worker:' .. owner .. ':executions', composite)
end

function executions.busy(owner)
  if call('EXISTS', rq .. ':worker:' .. owner) == 1 then call('HSET', rq .. ':worker:' .. owner, 'state', 'busy') end
end

-- RQ's view of a run that is over. What is of all runs that a script ends is written once. `outcome` is 'successful',
-- 'failed', or nil where neither counter moves (lost, handed back: its worker may be gone, and with it the list of its
-- executions).
local ended_under, jobs_over
function executions.finish(pid, p, outcome)
  local id, worker = doorbell.id(pid, p.ep, p.rw), rq .. ':worker:' .. p.ow
  local composite = id .. ':' .. p.cl
  local ended = ended_under[worker]
  if not ended then
    ended = { time = 0, successful = 0, failed = 0, owned = ns .. 'owned:' .. p.ow }
    ended.shown = call('EXISTS', worker .. ':executions') == 1
    ended_under[worker] = ended
  end
  jobs_over[#jobs_over + 1] = rq .. ':job:' .. id
  if ended.shown or not outcome then
    jobs_over[#jobs_over + 1], jobs_over[#jobs_over + 2] = rq .. ':execution:' .. composite, rq .. ':executions:' .. id
    gather('SREM', worker .. ':executions', composite)
  end
  gather('ZREM', rq .. ':wip:' .. p.q, composite)
  if outcome then
    ended[outcome] = ended[outcome] + 1
    ended.time = ended.time + now - num(p.ct, now)
  end
end

at_begin[#at_begin + 1] = function() ended_under, jobs_over, far = {}, {}, nil end
at_end[#at_end + 1] = function()
  for i = 1, #jobs_over, 1000 do call('DEL', unpack(jobs_over, i, math.min(i + 999, #jobs_over))) end
  for worker, ended in pairs(ended_under) do
    if call('EXISTS', worker) == 1 then
      if ended.successful > 0 then call('HINCRBY', worker, 'successful_job_count', ended.successful) end
      if ended.failed > 0 then call('HINCRBY', worker, 'failed_job_count', ended.failed) end
      if ended.time > 0 then
        call('HINCRBYFLOAT', worker, 'total_working_time', string.format('%.3f', ended.time / 1000))
      end
      if call('EXISTS', ended.owned) == 0 then call('HSET', worker, 'state', 'idle') end
    end
  end
end
