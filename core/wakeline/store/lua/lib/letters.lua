-- Letters: how timers, todo rows and kinds of waits begin in Redis. They are stored, so they never change.
-- wakeline.store.letters has the same names, each with its meaning; a test compares both.
local TIMER = {
  wait = 's:', offer = 'd:', grace = 'c:', deadline = 'e:', queue_timeout = 'q:', attempt_timeout = 'a:',
  unopened = 'w:', cells = 'r:',
}
local LEFT = {
  cancel_waits = 'c:', cancel_children = 'k:', tell_waiters = 'w:', drop_waits = 'd:', end_children = 'p:',
  begin_turn = 'n:', clear_session = 'g:', look_at_misfits = 'm:',
}
local WAIT = { signal = 's:', timer = 't:', child = 'c:', completion = 'x:', answer = 'a:', children = 'e:' }
