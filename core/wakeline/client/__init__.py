"""Talking to processes and sessions from outside. Each file has a noun with both of its faces, blocking and awaited.

Invariant: a verb is a program of `wakeline.verbs`; the two faces differ in how they run it and in nothing else.
"""
