-- Isolates: a worker runs the code of isolated tools in its children, and claims no more of these calls than it has
-- free children. The others stay in their queue, where a stock worker may take them too, and an idle owner that has a
-- free child hears of them.
-- Needs: base code aside
local isolates = {}
at_begin[#at_begin + 1] = function()
  isolates.taken, isolates.left, isolates.told = 0, false, {}
end

-- Whether this owner would need a child for a process, by what it says of its tools (`a.isolated`).
function isolates.needed(p)
  local code = a.isolated and code_of(p)
  return code and has_code(a.isolated, code)
end

function isolates.lacked(p) return isolates.needed(p) and isolates.taken >= a.isolates end

function isolates.take(p)
  if isolates.needed(p) then isolates.taken = isolates.taken + 1 end
end

-- It goes by what is left: an owner that left something is told of nothing like it until it has a free child (crowded),
-- so two of them do not go on waking each other.
function isolates.leave(p)
  local code = code_of(p)
  local what = p.q .. ' ' .. code
  isolates.left = true
  if isolates.told[what] then return end
  isolates.told[what] = true
  wake_able(p.q, code)
end

-- `before`: what this owner was crowded for.
function isolates.note(before)
  local last = ns .. 'takes:' .. a.owner
  if isolates.left then
    if before ~= a.isolated then call('HSET', last, 'crowded', a.isolated) end
  elseif before and (a.isolates or 1) > 0 then
    call('HDEL', last, 'crowded')
  end
end
