-- The record of a process: how scripts read it, and the fence of its run.
-- Needs: base queues

local STATE = {
  'st', 'seq', 'ep', 'inc', 'q', 'cl', 'ow', 'ct', 'rw', 'rg', 'fs', 'at', 'ls', 'ma', 'rc', 'cr', 'k', 'gen', 'ws',
  'we', 'sid', 'pa', 'jb', 'to', 'qt', 'pe', 'aw', 'lk', 'lm', 'hd', 'ce', 'rd', 'dl', 'an', 'pc', 'ur', 'rel', 'pr',
  'sr', 'mf', 'cd', 'ver', 'as', 'uf', 'tr', 'tl', 'ix',
}

-- A record of usual size comes whole with one look, in half the time that the server takes to find so many fields by
-- name. One with many open waits has a field for each group of them; of it, what scripts look at is read by name.
local WHOLE = 64
local whole
at_begin[#at_begin + 1] = function() whole = {} end
local function is_whole(p) return whole[p] end
local function load(pid)
  local cursor, flat = unpack(call('HSCAN', proc_key(pid), '0', 'COUNT', WHOLE))
  local p = {}
  if cursor == '0' then
    whole[p] = true
    for i = 1, #flat, 2 do p[flat[i]] = flat[i + 1] end
  else
    p = fields(proc_key(pid), unpack(STATE))
  end
  p.q = queue_of(p.q)
  return p
end

-- What the fence of a run and its rows look at, for scripts that write nothing else: most steps of most bodies.
local function load_run(pid)
  local v = call('HMGET', proc_key(pid), 'st', 'inc', 'ep', 'cl', 'jb', 'fs', 'at', 'ls', 'mf', 'cr', 'tl')
  return {
    st = v[1] or nil, inc = v[2] or nil, ep = v[3] or nil, cl = v[4] or nil, jb = v[5] or nil, fs = v[6] or nil,
    at = v[7] or nil, ls = v[8] or nil, mf = v[9] or nil, cr = v[10] or nil, tl = v[11] or nil,
  }
end

-- The fence (races 12 and 13): incarnation, epoch and claim id must all be those of the run that holds the process now.
-- The store must also have all that the run was answered (race 33), or its journal would get a hole: as much of a
-- journal (jb), and each wait that a row consumed, with its resolution.
local function holds(p, f, rows)
  local fits = p.st == 'running' and p.inc == f.inc and p.ep == f.ep and p.cl == f.cl
  if not fits then return false end
  if num(p.jb, 0) < num(f.jb, 0) then return false end
  for _, row in ipairs(rows or {}) do
    for _, id in ipairs(row.there and row.s or {}) do
      local slot = fields(ns .. 'slot:' .. id, 'g', 'k', 'd', 'r', 'z', 'es')
      if slot.k then
        if not slot.r and not slot.z then return false end
        row.read = row.read or {}
        row.read[id] = slot
      elseif call('HEXISTS', ns .. 'journal:' .. f.pid, row.k) == 0 then -- else it is sent again
        return false
      end
    end
  end
  return true
end

-- Removes those of the fields that the record had when `p` was loaded.
local function unset_all(pid, p, names)
  local there, n = {}, 0
  for i = 1, #names do
    if p[names[i]] then
      n = n + 1
      there[n] = names[i]
    end
  end
  if n > 0 then call('HDEL', proc_key(pid), unpack(there)) end
end

local function unset(pid, p, ...) unset_all(pid, p, { ... }) end
