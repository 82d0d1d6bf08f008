"""The only package that speaks Redis: connection, keys, scripts, and one module of calls per noun.

Invariant: every transition is one script, every script may be sent twice.
"""
