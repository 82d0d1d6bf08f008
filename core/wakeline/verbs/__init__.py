"""All requests to the store, as programs, for clients and for bodies.

Invariant: types are checked before anything is sent, and every atomic step is in a script.
"""
