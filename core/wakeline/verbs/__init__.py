"""What can be asked of the store, as programs: for a client and for a body alike.

Invariant: types are checked before anything is sent; everything atomic is in a script.
"""
