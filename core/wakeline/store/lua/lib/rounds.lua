-- Rounds: releases side by side each look once at a process that does not fit, then all wait.
-- Needs: base routes hints code aside
local rounds = {}
at_begin[#at_begin + 1] = function() rounds.alive = nil end

-- 'uf' says which releases have looked in this round: ',v1,v2,'; one without a name is ''.
rounds.LONGEST_ROUND = 1024

function rounds.in_round(release) return string.gsub(word(release or ''), ',', '%%2c') .. ',' end

function rounds.has_looked(uf, release)
  return uf ~= nil and string.find(uf, ',' .. rounds.in_round(release), 1, true) ~= nil
end

-- Whether a living owner of a release that did not look yet serves the queue and, where it says what it has, has the
-- code. `found` is asked about each such owner, until it says yes.
function rounds.others(uf, queue, code, found)
  if not uf or #uf > rounds.LONGEST_ROUND then return false end
  local alive = rounds.alive
  if not alive then
    alive = { owners = call('ZRANGEBYSCORE', ns .. 'owners', '(' .. int(now), '+inf', 'LIMIT', 0, BOUND) }
    alive.releases = #alive.owners > 0 and call('HMGET', ns .. 'releases', unpack(alive.owners)) or {}
    rounds.alive = alive
  end
  for i, owner in ipairs(alive.owners) do
    if not rounds.has_looked(uf, alive.releases[i]) and call('SISMEMBER', ns .. 'listens:' .. owner, queue) == 1 then
      local codes = call('HGET', ns .. 'codes', owner)
      if (not codes or code == '' or has_code(codes, code)) and (not found or found(owner)) then return true end
    end
  end
  return false
end

-- Whether the owners of a release leave it to those that did not look at it yet.
function rounds.are_others(p, release)
  return p.mf and rounds.has_looked(p.uf, release) and rounds.others(p.uf, p.q, code_of(p) or '')
end

-- What the name of a line says in which a process waits for other releases: the releases that looked, and the code.
function rounds.line_of(rest) return string.match(rest, '^%-(%S*) (.*)$') end

function rounds.leave(pid, p)
  local code = code_of(p) or ''
  local line = word(p.q) .. ' -' .. p.uf .. ' ' .. code
  if p.as and p.as ~= line then leave_aside(pid, p.as) end
  p.as = line
  call('ZADD', ns .. 'aside:' .. line, int(now), pid)
  call('HSET', proc_key(pid), 'as', line)
  if call('SADD', ns .. 'asides', line) == 1 then
    for _, owner in ipairs(rounds.alive.owners) do call('HSET', ns .. 'takes:' .. owner, 'able', '1') end
    call('HSET', ns .. 'meta', 'mixed', '1')
  end
  rounds.others(p.uf, p.q, code, function(owner)
    for _, set in ipairs(routes.idle_sets(p.q)) do
      if call('SREM', set, owner) == 1 then
        hints.send(owner, 'bell')
        return true
      end
    end
    return false
  end)
end

-- Notes that the release of a run has looked at it. Returns whether another release is there that has not.
function rounds.passes_on(pid, p)
  if not rounds.has_looked(p.uf, p.rel) then
    p.uf = (p.uf or ',') .. rounds.in_round(p.rel)
    call('HSET', proc_key(pid), 'uf', p.uf)
  end
  return rounds.others(p.uf, p.q, code_of(p) or '')
end

-- Whether there is an owner that would take a process that was left aside.
function rounds.is_awaited(p)
  local uf, code = rounds.line_of(string.match(p.as, ' (.*)$') or '')
  if uf then return rounds.others(uf, p.q, code) end
  return is_had(p)
end
