-- How every script runs: its own text is the function `main`, which is called once for each object of arguments.
-- One object: its reply. Several: a list of replies; an error of one is its reply, and the others are done all the same.
-- A client that counts what it is answered gets {number, now, reply}: how many writes of its own are here with these, '' where nothing was written (or only
-- what nobody counts on), and from 0 down how many were here before, negated, where that are not all that were answered: the store went back.
-- Needs: base
local ACKED_MS = 300000 -- looks keep it for longer

local function number_of(client, answered, writes)
  local key = ns .. 'acked:' .. client
  -- Last, and it may be refused to a user or in a slot that moves: then this write has no number.
  local n = redis.pcall('HINCRBY', key, 'n', writes)
  if type(n) ~= 'number' then return '' end
  if n == writes then call('PEXPIRE', key, ACKED_MS) end
  if n - writes >= answered then return n end
  -- It stays as it was found: where this reply is lost, the next one has to say the same.
  return -call('HINCRBY', key, 'n', -writes)
end

local function run_script(main, argv)
  begin(argv)
  local replies, writes = nil, 0
  if #argv == 6 then
    a, wrote, unasked = cjson.decode(argv[6]), false, false
    replies = main()
    if wrote and not unasked then writes = 1 end
  else
    replies = {}
    for i = 6, #argv do
      a, wrote, unasked = cjson.decode(argv[i]), false, false
      local done, reply = pcall(main)
      if not done and type(reply) == 'string' then reply = { err = reply } end
      replies[i - 5] = reply
      if wrote and not unasked then writes = writes + 1 end
    end
  end
  wrote = false
  write_gathered()
  if argv[4] == '' then return replies end
  if wrote then writes = math.max(writes, 1) end
  return { writes > 0 and number_of(argv[4], tonumber(argv[5]), writes) or '', now, replies }
end
