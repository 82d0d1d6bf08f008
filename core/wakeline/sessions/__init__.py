"""Sessions: which entries a turn takes, and what is left to do when it ends. Pure."""
