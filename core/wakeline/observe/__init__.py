"""Read models: what the store holds, as values that a person or a program can read."""
