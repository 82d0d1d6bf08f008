"""Wakes: from an event of a process to a line of a session's inbox. Pure."""
