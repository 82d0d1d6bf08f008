"""A support agent that sleeps between wakes."""
