-- Bundles: how every script runs. Its own text is the function `main`, which is called once for each object of
-- arguments.
-- One object: its reply. Several: a list of replies; an error of one is its reply, and the others still run.
-- A client that counts its answered writes gets {number, now, reply, lengths}: for each object {was, is}, how long the
-- journal of its run was and is in bytes, or {} where that got no row; nothing at all where none did.
-- The number is how many of its writes are here
-- with these, or '' where nothing was written that a client counts on. Where fewer are here than were answered, the
-- store went back: the number is then how many were here before, negated (from 0 down).
-- Needs: base
local ACKED_MS = 300000 -- looks keep it for longer

local function number_of(client, answered, writes)
  local key = ns .. 'acked:' .. client
  -- This comes last. It may be refused to a user, or in a slot that moves: then this write has no number.
  local n = redis.pcall('HINCRBY', key, 'n', writes)
  if type(n) ~= 'number' then return '' end
  if n == writes then call('PEXPIRE', key, ACKED_MS) end
  if n - writes >= answered then return n end
  -- It stays as it was found: where this reply is lost, the next one has to say the same.
  return -call('HINCRBY', key, 'n', -writes)
end

local function run_script(main, argv)
  begin(argv)
  local replies, writes, out, grew = nil, 0, {}, false
  if #argv == 6 then
    a = cjson.decode(argv[6])
    begin_noting()
    replies = main()
    if wrote and not unasked then writes = 1 end
    if a.had then out[1] = { a.had, a.now } end
  else
    replies = {}
    for i = 6, #argv do
      a = cjson.decode(argv[i])
      begin_noting()
      local done, reply = pcall(main)
      if not done and type(reply) == 'string' then reply = { err = reply } end
      replies[i - 5] = reply
      if a.had then grew, out[i - 5] = true, { a.had, a.now } end
      if wrote and not unasked then writes = writes + 1 end
    end
  end
  begin_noting()
  write_gathered()
  if argv[4] == '' then return replies end
  if wrote then writes = math.max(writes, 1) end
  for i = 1, grew and #argv - 5 or 0 do out[i] = out[i] or NONE end
  return { writes > 0 and number_of(argv[4], tonumber(argv[5]), writes) or '', now, replies, out }
end
