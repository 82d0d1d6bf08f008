"""Tools: their definition and their retry rule. Pure."""
