"""Benchmarks of the whole: a private server, real worker processes, medians and spreads. ``python3 dev.py bench``."""
