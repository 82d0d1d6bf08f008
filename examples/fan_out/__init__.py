"""One process starts many, and gathers what they found."""
