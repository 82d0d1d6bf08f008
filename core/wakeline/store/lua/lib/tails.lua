-- Tailers: how clients learn that what they wait for has changed. A tailer is the stream of one client, and all its
-- waiters share it. What is waited for names its tailers, so an event and an end without a waiter cost nothing.
-- A mark is a list of words: `t<hex>` for each tailer, with `+` behind one that is told of every event of a process and
-- not only of the end. Processes have one (`tl`), entries (`<n>:t`), and sessions that are followed: the value of
-- `followed:<sid>`, whose first word is '1'.
-- Needs: base
local tails = {}
local TOLD_KEPT = 4096 -- the latest items of a stream; a client that is slower finds the others by its own look
local TOLD_OUTPUT = 512 -- a longer output (bytes) is read by its waiters
local telling, told_in_order
at_begin[#at_begin + 1] = function() telling = nil end

local function tell_tailers(mark, pattern, what, number, id, output)
  if not telling then telling, told_in_order = {}, {} end
  for tailer in string.gmatch(mark, pattern) do
    local said = telling[tailer]
    if not said then
      said = { outputs = {} }
      telling[tailer], told_in_order[#told_in_order + 1] = said, tailer
    end
    said[#said + 1] = what .. ' ' .. number .. ' ' .. word(id)
    said.outputs[#said.outputs + 1] = output
  end
end

function tails.event(pid, mark, seq) tell_tailers(mark, '(t%x+)%+', 'event', seq, pid) end

-- A short output goes with its end, so that its waiters need not read it. It is that of one incarnation.
function tails.ended(pid, mark, seq, inc, output)
  local short = #output <= TOLD_OUTPUT and quote(pid) .. ':[' .. quote(inc) .. ',' .. output .. ']' or nil
  tell_tailers(mark, 't%x+', 'end', seq, pid, short)
end

function tails.item(sid, mark, number) tell_tailers(mark, 't%x+', 'feed', number, sid) end

function tails.concluded(sid, mark, n) tell_tailers(mark, 't%x+', 'entry', n, sid) end

-- One item for all that a script has to say to a tailer. A stream that is gone has no waiters any more.
at_end[#at_end + 1] = function()
  for _, tailer in ipairs(telling and told_in_order or {}) do
    local said, more = telling[tailer], {}
    if #said.outputs > 0 then more = { 'o', '{' .. table.concat(said.outputs, ',') .. '}' } end
    call('XADD', ns .. 'told:' .. tailer, 'NOMKSTREAM', 'MAXLEN', '~', TOLD_KEPT, '*', 't', table.concat(said, ' '),
      unpack(more))
  end
end

-- The mark with a tailer; nil if it is there already. `every`: '+' for every event, else ''. Tailers whose streams
-- are gone leave a long mark. One that finds no place is told nothing, and looks.
function tails.with(mark, tailer, every)
  local words = {}
  for one in string.gmatch(mark or '', '%S+') do
    if one == tailer .. '+' or one == tailer .. every then return nil end
    if one ~= tailer then words[#words + 1] = one end
  end
  if #words >= 8 then
    local alive = {}
    for _, one in ipairs(words) do
      if call('EXISTS', ns .. 'told:' .. string.match(one, '^[^+]*')) == 1 then alive[#alive + 1] = one end
    end
    words = alive
  end
  if #words >= BOUND then return nil end
  words[#words + 1] = tailer .. every
  return table.concat(words, ' ')
end

-- The mark without a tailer; nil if it is not there.
function tails.without(mark, tailer)
  local words, found = {}, false
  for one in string.gmatch(mark or '', '%S+') do
    if one == tailer or one == tailer .. '+' then found = true else words[#words + 1] = one end
  end
  return found and table.concat(words, ' ') or nil
end
