"""What an app's instruments are told: the named moments, the stretches of work and the writes to Redis.

Invariant: nothing here changes what is told of, and nothing of it is recorded.
"""
