-- Times as RQ stores them. Lua on the server has no calendar.

-- RQ stores times as 2026-01-31T23:59:59.000000Z (rq.utils.utcformat). Civil-from-days, proleptic Gregorian.
local made_of, made
local function iso(ms)
  if ms == made_of then return made end
  local s = math.floor(ms / 1000)
  local days, rest = math.floor(s / 86400), s % 86400
  local z = days + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local d = doy - math.floor((153 * mp + 2) / 5) + 1
  local m = mp < 10 and mp + 3 or mp - 9
  local y = yoe + era * 400 + (m <= 2 and 1 or 0)
  local hours, minutes = math.floor(rest / 3600), math.floor(rest % 3600 / 60)
  made_of = ms
  made = string.format('%04d-%02d-%02dT%02d:%02d:%02d.%03d000Z', y, m, d, hours, minutes, rest % 60, ms % 1000)
  return made
end
