-- How every script ends: its own text is the function `main`, which runs once for each object of arguments.
-- One object: its reply. Several: a list of replies; an error of one is its reply, and the others are done all the same.
if #ARGV == 4 then
  local reply = main()
  write_gathered()
  return reply
end
local replies = {}
for i = 4, #ARGV do
  a = cjson.decode(ARGV[i])
  local done, reply = pcall(main)
  if not done and type(reply) == 'string' then reply = { err = reply } end
  replies[i - 3] = reply
end
write_gathered()
return replies
