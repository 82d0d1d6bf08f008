"""The rules as plain Python, with which the scripts are compared.

Redis decides by the scripts in `wakeline/store/lua`. The modules here state the same rules again, without keys and
without a store. Tests fold the log of a stored process with `record` and compare every field that the scripts keep
beside it, and lose a process as often as `lease` allows. Separate tests pin the other rules. A change here changes no
promise: change the script, then the model.
"""
