-- How every script runs: its own text is the function `main`, which is called once for each object of arguments.
-- One object: its reply. Several: a list of replies; an error of one is its reply, and the others are done all the same.
local function run(main, argv)
  begin(argv)
  if #argv == 4 then
    a = cjson.decode(argv[4])
    local reply = main()
    write_gathered()
    return reply
  end
  local replies = {}
  for i = 4, #argv do
    a = cjson.decode(argv[i])
    local done, reply = pcall(main)
    if not done and type(reply) == 'string' then reply = { err = reply } end
    replies[i - 3] = reply
  end
  write_gathered()
  return replies
end
