"""The rules as plain Python: what the scripts are compared with.

Redis decides by the scripts in `wakeline/store/lua`. The modules here say the same rules once more, without keys and
without a store. Tests fold the log of
a stored process with `record` and compare every field that the scripts keep beside it, and lose a process as often as
`lease` lets them; the other rules
are pinned by tests of their own. A change here
changes no promise: change the script, then the model.
"""
