"""Engines: long-lived function bodies, and the registry of all bodies of an app."""
