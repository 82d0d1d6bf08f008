"""Execution environments: what a process is allowed to see, captured when it starts. Pure."""
