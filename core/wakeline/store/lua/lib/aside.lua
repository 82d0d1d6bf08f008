-- Processes that workers without their code leave aside, for a worker that has it.
-- Needs: base routes hints code

-- An idle owner hears of work that it can run: it has the code, and is not crowded with calls of such code.
local function wake_able(queue, code)
  for _, set in ipairs(routes.idle_sets(queue)) do
    for _, owner in ipairs(call('SMEMBERS', set)) do
      if
        has_code(call('HGET', ns .. 'codes', owner) or ' ', code)
        and not has_code(call('HGET', ns .. 'takes:' .. owner, 'crowded') or ' ', code)
      then
        call('SREM', set, owner)
        return hints.send(owner, 'bell')
      end
    end
  end
end

-- A worker that lacks the code of a process leaves it to a worker that has it. aside:<queue> <code> holds such
-- processes, and asides names the lines that are not empty.
local function set_aside(pid, queue, code)
  local line = word(queue) .. ' ' .. code
  call('ZADD', ns .. 'aside:' .. line, int(now), pid)
  call('SADD', ns .. 'asides', line)
  call('HSET', proc_key(pid), 'as', line)
  wake_able(queue, code)
end

local function leave_aside(pid, line)
  call('ZREM', ns .. 'aside:' .. line, pid)
  if call('EXISTS', ns .. 'aside:' .. line) == 0 then call('SREM', ns .. 'asides', line) end
  call('HDEL', proc_key(pid), 'as')
end

-- Tells each owner what it leaves aside (lacks), and whether it looks there (able). Where all owners have the same
-- code, both fields are removed. Code that no owner has is in no list, so that a worker takes the process and says what
-- it lacks. An owner of the release before does not say what it has.
local function compare_codes()
  local owners = call('ZRANGE', ns .. 'owners', 0, BOUND - 1)
  local texts, known, first = #owners > 0 and call('HMGET', ns .. 'codes', unpack(owners)) or {}, {}, nil
  local mixed = call('EXISTS', ns .. 'asides') == 1
  local lacks = {}
  for _, text in ipairs(texts) do
    if text and not lacks[text] then
      mixed, first, lacks[text] = mixed or first ~= nil, text, ' '
      for code in string.gmatch(text, '%S+') do known[code] = true end
    end
  end
  if not mixed and call('HEXISTS', ns .. 'meta', 'mixed') == 0 then return end
  for text in pairs(lacks) do
    for code in pairs(known) do
      if code ~= 't:*' and not has_code(text, code) then lacks[text] = lacks[text] .. code .. ' ' end
    end
  end
  for i, owner in ipairs(owners) do
    local last, text = ns .. 'takes:' .. owner, texts[i]
    if mixed then call('HSET', last, 'able', '1') else call('HDEL', last, 'able', 'lacks') end
    if mixed and text then call('HSET', last, 'lacks', lacks[text]) end
  end
  if mixed then call('HSET', ns .. 'meta', 'mixed', '1') else call('HDEL', ns .. 'meta', 'mixed') end
end
