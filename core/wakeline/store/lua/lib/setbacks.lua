-- Setbacks: what went wrong with a process and did not end it, as its log tells it: a failed attempt, a loss, a misfit.
-- Needs: base log
local setbacks = {}

-- The event of a setback, `number`: which one in a row it is. A tool that is tried ten thousand times, or a loop of
-- crashes, must not make the log long: the first ten are told, then each hundredth.
-- 'sb': the numbers of these events, the first three and the latest seven, so that a look need not search the log.
function setbacks.entered(pid, p, number, event_type, payload, run)
  if number > 10 and number % 100 ~= 0 then return end
  local before = call('HGET', proc_key(pid), 'sb')
  local numbers = (before and before .. ',' or '') .. append(pid, p, event_type, payload, nil, nil, run)
  if select(2, string.gsub(numbers, ',', '')) >= 10 then
    numbers = string.gsub(numbers, '^(%d+,%d+,%d+,)%d+,', '%1')
  end
  call('HSET', proc_key(pid), 'sb', numbers)
end

-- A failed attempt. `said`: what failed, and how, as an object of JSON; the number and the time of the next one are
-- added to it. `delay`: ms until the next one; nil where none follows. `run`: the run that ended with it.
function setbacks.attempt(pid, p, number, said, delay, run)
  local more = ',"number":' .. int(number) .. ',"next_ms":' .. (delay and int(now + delay) or 'null') .. '}'
  setbacks.entered(pid, p, number, 'process.attempt_failed', string.sub(said, 1, -2) .. more, run)
end
