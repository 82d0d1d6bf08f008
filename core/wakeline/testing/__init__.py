"""For tests of Wakeline and of apps that use it: a clock that they move, probes that keep what they were told, and the
rules as plain Python.

Invariant: nothing that runs in production imports this package; a contract in pyproject.toml says so.
"""
