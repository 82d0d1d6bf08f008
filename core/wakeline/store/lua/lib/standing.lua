-- Standing: what stands still, as an earlier release or a store that lost its tail left it so. No event, timer or
-- worker comes to it again. These functions only look, and lib/righting.lua puts right what they find. They find
-- nothing in what this release leaves between two scripts.
-- Needs: base letters slots
local PATIENCE = 10000 -- ms; longer than anything takes that is on its way
local LONGEST_LINE = 1024 -- who stands in a longer one is not looked for: the line gets shorter

local standing = {} -- looked: how much was looked at in this script, in waits; lines: the members of those that were
standing.AT_ONCE = 32 -- so many are looked at in one go
at_begin[#at_begin + 1] = function() standing.lines, standing.looked = {}, 0 end

-- A parked process none of whose waits is open: no resolution can resume it.
function standing.waits_for_nothing(pid)
  local ids = call('SRANDMEMBER', ns .. 'waits:' .. pid, BOUND)
  for _, id in ipairs(ids) do
    standing.looked = standing.looked + 1
    local slot = fields(slot_key(id), 'g', 'r', 'z')
    if slot.g and not slot.r and not slot.z then return false end
  end
  if #ids < BOUND then return true end
  -- It has more waits than one script may look at: its groups count those that are open.
  local flat = call('HGETALL', proc_key(pid))
  for i = 1, #flat, 2 do
    if string.sub(flat[i], 1, 2) == 'o:' and tonumber(flat[i + 1]) > 0 then return false end
  end
  return true
end

-- An open wait with a deadline that no timer will bring.
function standing.has_no_deadline(id, slot) return slot.d and not call('ZSCORE', ns .. 'timers', TIMER.wait .. id) end

-- An open wait for a signal that no sender would find.
function standing.is_not_found(pid, id, name)
  return not string.find(',' .. (call('HGET', proc_key(pid), 'n:' .. name) or '') .. ',', ',' .. id .. ',', 1, true)
end

-- An open completion of which no release has said whether it is an approval.
function standing.is_of_unknown_kind(slot) return not slot.es and string.sub(slot.k, 1, 2) == WAIT.completion end

-- Whether a body asked for an approval of this name: its journal says so.
function standing.was_asked(pid, name)
  local head = 'approval:' .. name .. ':'
  for _, key in ipairs(call('HKEYS', ns .. 'journal:' .. pid)) do
    if string.sub(key, 1, #head) == head and string.find(key, '^%x+:%d+$', #head + 1) then return true end
  end
  return false
end

-- A run whose owner is not there: it is in no owner's set either, or the reap would have found it.
function standing.runs_nowhere(p)
  return p.k ~= 'x' and not (p.ow and call('ZSCORE', ns .. 'owners', p.ow)) and now - tonumber(p.ct or '0') > PATIENCE
end

-- A queued process that waits at a limit, in whose line it is not.
function standing.is_in_no_line(pid, line)
  if standing.lines[line] == nil then
    local long, members = call('LLEN', line) > LONGEST_LINE, {}
    standing.looked = standing.looked + 64
    if not long then
      for _, member in ipairs(call('LRANGE', line, 0, LONGEST_LINE - 1)) do members[member] = true end
    end
    standing.lines[line] = not long and members
  end
  return standing.lines[line] and not standing.lines[line][pid] or false
end

-- A process that is queued for a time ahead, with no timer that offers it then: the clock was ahead, or its timer was
-- lost. One that was rung again ('rg') is looked after at the time that the sweep of doorbells set.
function standing.has_no_timer(pid, p, score)
  return not p.rg and score > now + PATIENCE and not call('ZSCORE', ns .. 'timers', TIMER.offer .. pid)
end

-- A place that no run has, and that no queued process was given. `p`: the process that is said to have it.
function standing.is_nobodys_place(limit, p)
  local has = p.lm and string.find(' ' .. p.lm .. ' ', ' ' .. limit .. ' ', 1, true)
  return not has or (p.st ~= 'running' and p.st ~= 'queued')
end

function standing.is_nobodys_cell(limit, p) return p.st ~= 'queued' or p.ce ~= limit end
