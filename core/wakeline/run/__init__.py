"""One run of a process under its fence: its journal, its waits, how it begins and ends.

Invariant: nothing here knows what a body can do; `wakeline.body` is built on it.
"""
