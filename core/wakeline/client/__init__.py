"""Talking to processes and sessions from outside: blocking (`handles`, `sessions`) and awaited (`aio`).

Invariant: a verb is a program of `wakeline.verbs`; the two faces differ in how they run it and in nothing else.
"""
