-- Signals: which wait takes one, and where it is kept until a wait does.
-- Needs: base record slots
local mailbox = {}

-- A signal that was renamed: a sender or body that knows only one of its names is led to the name that is waited for,
-- or kept.
function mailbox.link_names(w, name, others)
  for _, other in ipairs(others) do
    if record.get(w, 'l:' .. other) ~= name then record.set(w, 'l:' .. other, name) end
  end
end

-- The oldest open wait for a signal, under any of its names; its own comes first.
function mailbox.open_wait(w, name, others)
  local open = record.get(w, 'n:' .. name)
  local led_to = not open and record.get(w, 'l:' .. name)
  if led_to then open = record.get(w, 'n:' .. led_to) end
  for _, other in ipairs(others or {}) do open = open or record.get(w, 'n:' .. other) end
  return string.match(open or '', '^[^,]+')
end

-- What a signal of the log resolves a wait with, and its headers.
local function from_event(pid, seq)
  local event = call('XRANGE', ns .. 'events:' .. pid, seq .. '-0', seq .. '-0')[1][2]
  local headers
  for i = 7, #event, 2 do
    if event[i] == 'hs' then headers = event[i + 1] end
  end
  return '{"status":"ok","value":' .. event[4] .. '}', headers
end

-- The oldest signal of a name, or of another name that it has or had, that is kept: what resolves a wait with it, its
-- sequence, and its headers. `w`: the record of its process.
function mailbox.take(w, name, others)
  local pid = w.pid
  local box = ns .. 'mail:' .. pid
  local letters = call('LRANGE', box, 0, -1)
  if #letters == 0 then return end
  local wanted = { [name] = true, [record.get(w, 'l:' .. name) or name] = true }
  for _, other in ipairs(others or {}) do wanted[other] = true end
  for _, letter in ipairs(letters) do
    local of, seq = string.match(letter, '^(.*):(%d+)$')
    if wanted[of] then
      call('LREM', box, 1, letter)
      local resolution, headers = from_event(pid, seq)
      return resolution, seq, headers
    end
  end
end

-- A signal whose wait was given up: the oldest open wait of its name takes it, else the mailbox, in the order of
-- sending.
local function give_back(pid, name, seq)
  local open = mailbox.open_wait(record.open(pid, {}), name)
  if open then
    local resolution, headers = from_event(pid, seq)
    return resolve(open, resolution, seq, nil, nil, headers)
  end
  local box = ns .. 'mail:' .. pid
  for _, letter in ipairs(call('LRANGE', box, 0, -1)) do
    local other = string.match(letter, ':(%d+)$')
    if tonumber(other) > tonumber(seq) then return call('LINSERT', box, 'BEFORE', letter, name .. ':' .. seq) end
  end
  call('RPUSH', box, name .. ':' .. seq)
end

-- Gives waits up. All are closed before a signal finds its next wait, or it could fall into one that is given up with
-- it.
function mailbox.give_up(pid, ids)
  local letters = {}
  for _, id in ipairs(ids) do
    local slot = fields(slot_key(id), 'k', 'rs')
    if slot.rs then letters[#letters + 1] = { string.sub(slot.k, 3), slot.rs } end
    close_slot(pid, id)
  end
  table.sort(letters, function(x, y) return tonumber(x[2]) < tonumber(y[2]) end)
  for _, letter in ipairs(letters) do give_back(pid, letter[1], letter[2]) end
end
