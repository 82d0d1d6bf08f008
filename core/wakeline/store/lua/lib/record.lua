-- Records: what one call writes to the record of a process. Its fields and events are gathered, and written at once.
-- Who opens one writes it before anything else reads or writes that process.
-- Needs: base tails log process
local record = {}

-- `p`: the record as this script has read it. It shows what was gathered.
function record.open(pid, p) return { pid = pid, p = p, new = {}, at = {}, gone = {}, events = {} } end

-- A field as it will be. Of a record that was too long to be read whole, groups, signals and their other names are not
-- known yet.
function record.get(w, field)
  local p = w.p
  local value = p[field]
  if value == nil and string.sub(field, 2, 2) == ':' and not is_whole(p) then
    value = call('HGET', proc_key(w.pid), field)
    p[field] = value
  end
  return value or nil
end

function record.set(w, field, value)
  local new, at = w.new, w.at
  local place = at[field] or #new + 1
  new[place], new[place + 1], at[field], w.p[field] = field, value, place, value
end

function record.drop(w, field)
  if not record.get(w, field) then return end
  w.p[field] = false
  w.gone[#w.gone + 1] = field
  if w.at[field] then -- the last one takes its place
    local new, place = w.new, w.at[field]
    local last = #new - 1
    new[place], new[place + 1] = new[last], new[last + 1]
    w.at[new[place]], w.at[field] = place, nil
    new[last], new[last + 1] = nil, nil
  end
end

-- The next event of its log; returns the sequence.
function record.event(w, event_type, payload, replay_key, run, headers)
  local events, p = w.events, w.p
  local n, seq = #events, int(num(p.seq, 0) + 1)
  events[n + 1], events[n + 2], events[n + 3] = seq, event_type, payload
  events[n + 4], events[n + 5], events[n + 6] = replay_key or false, run or false, headers or false
  p.seq = seq
  return seq
end

-- As `ensure_started`: the first event of a process, with the first thing that a run leaves behind.
function record.start(w)
  if w.p.fs then return end
  record.set(w, 'fs', '1')
  record.event(w, 'process.started', '{}', nil, run_of(w.p))
end

function record.write(w)
  local pid, p, new, gone, events = w.pid, w.p, w.new, w.gone, w.events
  if #events > 0 then
    record.set(w, 'seq', p.seq)
    record.set(w, 'ua', int(now))
  end
  if #gone > 0 then call('HDEL', proc_key(pid), unpack(gone)) end
  if #new > 0 then call('HSET', proc_key(pid), unpack(new)) end
  for i = 1, #events, 6 do
    write_event(pid, events[i], events[i + 1], events[i + 2], events[i + 3] or nil, nil, events[i + 4] or nil,
      events[i + 5] or nil)
    if p.tl then tails.event(pid, p.tl, events[i]) end
  end
  w.new, w.at, w.gone, w.events = {}, {}, {}, {}
end
