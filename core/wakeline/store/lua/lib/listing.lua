-- Listing: the first of many names, for people.
-- Needs: base

-- The first names in order, as many as the bound. One pass, and of the rest only what may still be among them is kept.
local function first_names(names)
  local found, last = {}, nil
  for _, name in ipairs(names) do
    if not last or name < last then found[#found + 1] = name end
    if #found >= BOUND * 2 then
      table.sort(found)
      for i = #found, BOUND + 1, -1 do found[i] = nil end
      last = found[BOUND]
    end
  end
  table.sort(found)
  for i = #found, BOUND + 1, -1 do found[i] = nil end
  return found
end
