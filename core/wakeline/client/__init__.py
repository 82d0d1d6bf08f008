"""Talking to processes and sessions from outside. Each file has a noun with both of its faces, blocking and awaited.

Invariant: a verb is a program of `wakeline.verbs`. The two faces differ only in how they run it.
"""
