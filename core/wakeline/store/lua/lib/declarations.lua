-- Declarations: what the code of a release says of schedules, limits and agents. For each app those of one release are
-- in force: the newest that serves, by when it first appeared; the one before it, after all workers of the newer are
-- gone; or the one that `wakeline release` named. inforce: app -> the release whose declarations are in force,
-- "<app>:l" since when no worker of it serves (later than now: it was named and may come until then), "<app>:p" '1'
-- while its schedules are not written, "<app>:b" "<ms> <release>": the one before it, and until when.
-- Needs: base
local declarations = {}
local ABSENT = 60000 -- a release that was away for no longer did not leave: its workers were restarted
declarations.NAMED = 3600000 -- ms; how long one that was named may take to come
local APPEARED = 64 -- so many releases of all apps are known by when they appeared

-- What serves, as {"<app> <release>" = true}.
local function serving()
  local rows, found = call('HGETALL', ns .. 'serves'), {}
  for i = 2, #rows, 2 do found[rows[i]] = true end
  return found
end

function declarations.serves(app, release) return serving()[app .. ' ' .. release] == true end

-- Whose declarations are in force for an app: the release or nil, and since when it is away or nil.
function declarations.in_force(app)
  local row = call('HMGET', ns .. 'inforce', app, app .. ':l')
  return row[1] or nil, tonumber(row[2] or nil)
end

function declarations.put_in_force(app, release, before)
  call('HSET', ns .. 'inforce', app, release, app .. ':p', '1')
  call('HDEL', ns .. 'inforce', app .. ':l', app .. ':b')
  if before then call('HSET', ns .. 'inforce', app .. ':b', int(now) .. ' ' .. before) end
end

-- Notes that a release is there. Whether it is new.
local function appear(app, release)
  if call('ZADD', ns .. 'appeared', 'NX', int(now), app .. ' ' .. release) == 0 then return false end
  local over = call('ZCARD', ns .. 'appeared') - APPEARED
  if over > 0 then
    local there = serving()
    for _, row in ipairs(call('ZRANGE', ns .. 'appeared', 0, over - 1)) do
      if not there[row] then call('ZREM', ns .. 'appeared', row) end
    end
  end
  return true
end

-- Whether a release that comes now has its declarations in force. `patient`: its workers come and go with every job, so
-- a short absence of another release says nothing yet.
function declarations.comes_into_force(app, release, patient)
  local current, away = declarations.in_force(app)
  if appear(app, release) or not current then
    declarations.put_in_force(app, release)
  elseif current == release then
    call('HDEL', ns .. 'inforce', app .. ':l')
  else
    local at, before = string.match(call('HGET', ns .. 'inforce', app .. ':b') or '', '^(%d+) (.*)$')
    local back = before == release and tonumber(at) + ABSENT > now
    if not back and not (away and away + (patient and ABSENT or 0) <= now) then return false end
    -- Where this release was only restarted, the older one is not the one to go back to.
    declarations.put_in_force(app, release, not back and current or nil)
  end
  return true
end

-- An owner serves no more, or another release.
function declarations.leave_release(owner)
  local app, release = string.match(call('HGET', ns .. 'serves', owner) or '', '^(%S+) (.*)$')
  if not app then return end
  call('HDEL', ns .. 'serves', owner)
  local current, away = declarations.in_force(app)
  if current == release and not away and not declarations.serves(app, release) then
    call('HSET', ns .. 'inforce', app .. ':l', int(now))
  end
end

function declarations.serve_release(owner, app, release, patient)
  local before = call('HGET', ns .. 'serves', owner)
  if before and before ~= app .. ' ' .. release then declarations.leave_release(owner) end
  call('HSET', ns .. 'serves', owner, app .. ' ' .. release)
  return declarations.comes_into_force(app, release, patient)
end

-- The name of a release: as it is, or, where other code came with this name first, with the hash of its own code.
function declarations.called(app, release, build)
  local key, field = ns .. 'builds', app .. ' ' .. release
  local first = string.match(call('HGET', key, field) or '', '^%S+')
  if not first and call('HLEN', key) >= APPEARED then
    local rows, oldest, at = call('HGETALL', key), nil, nil
    for i = 1, #rows, 2 do
      local started = tonumber(string.match(rows[i + 1], '%d+$'))
      if not at or started < at then oldest, at = rows[i], started end
    end
    call('HDEL', key, oldest)
  end
  if not first or first == build then call('HSET', key, field, build .. ' ' .. int(now)) end
  return (not first or first == build) and release or release .. ' (code ' .. build .. ')'
end

local function write_rows(key, rows)
  for name, text in pairs(rows or {}) do
    if text == '' then call('HDEL', key, name) else call('HSET', key, name, text) end
  end
end

function declarations.write(of_limits, of_agents)
  write_rows(ns .. 'limits', of_limits)
  write_rows(ns .. 'agents', of_agents)
end

-- The tick's part: where the newest release has left, the newest of those that serve comes into force. Returns {[app,
-- release]*} whose declarations are not written.
function declarations.settle()
  local rows, declared, unwritten = call('HGETALL', ns .. 'inforce'), {}, {}
  for i = 1, #rows, 2 do declared[rows[i]] = rows[i + 1] end
  for name, release in pairs(declared) do
    local away = not string.find(name, ':', 1, true) and tonumber(declared[name .. ':l'])
    if away and away + ABSENT <= now then
      local newest, at = nil, -1
      for one in pairs(serving()) do
        local app, other = string.match(one, '^(%S+) (.*)$')
        local appeared = app == name and tonumber(call('ZSCORE', ns .. 'appeared', one) or '0')
        if appeared and (appeared > at or appeared == at and other > newest) then newest, at = other, appeared end
      end
      if newest then
        declarations.put_in_force(name, newest, release)
        unwritten[#unwritten + 1] = { name, newest }
      end
    elseif declared[name .. ':p'] then
      unwritten[#unwritten + 1] = { name, release }
    end
  end
  return unwritten
end
