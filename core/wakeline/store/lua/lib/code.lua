-- Code: what an owner can run, and what a process needs.
-- Needs: base

-- What a process needs: an agent (a:), or an engine or tool by name (e: t:) and version. An owner says what it can run
-- as such words between blanks.
-- The tools of a provider have no list, so an owner that has a provider says t:*.
local function code_of(p)
  if p.sid then return 'a:' .. word(string.match(p.sid, '^[^/]+')) end
  return p.cd and p.cd .. (p.ver and '@' .. word(p.ver) or '')
end

local function has_code(text, code)
  if string.find(text, ' ' .. code .. ' ', 1, true) then return true end
  return string.sub(code, 1, 2) == 't:' and string.find(text, ' t:* ', 1, true) ~= nil
end

-- Whether a live owner says that it has the code of a process.
local had_codes
at_begin[#at_begin + 1] = function() had_codes = {} end
local function is_had(p)
  local code = code_of(p)
  if code and had_codes[code] == nil then
    had_codes[code] = false
    local codes = call('HGETALL', ns .. 'codes')
    for i = 2, #codes, 2 do had_codes[code] = had_codes[code] or has_code(codes[i], code) end
  end
  return code and had_codes[code]
end
