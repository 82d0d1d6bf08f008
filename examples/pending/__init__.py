"""A tool that answers later: a person completes the call."""
