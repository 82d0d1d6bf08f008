"""Effects: what a body does and how its journal answers when it does so again. Pure."""
