-- Errors: what a failed process says of its error in one line, for lists.
-- Needs: base

-- `<code>: <first line of the message>` of the event with which it failed; '' for any other process, and for an output
-- that is stored apart. It is cut at 400 bytes, and never inside a character.
local function error_of(pid, status)
  local event = status == 'failed' and call('XREVRANGE', ns .. 'events:' .. pid, '+', '-', 'COUNT', 1)[1]
  local output = event and (object(event[2][4]) or NONE).await_output
  if type(output) ~= 'table' or type(output.message) ~= 'string' or type(output.code) ~= 'string' then return '' end
  local line = output.code .. ': ' .. (string.match(output.message, '[^\r\n]+') or '')
  return #line > 400 and string.gsub(string.sub(line, 1, 400), '[\192-\247]?[\128-\191]*$', '') .. '…' or line
end
