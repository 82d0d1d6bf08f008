"""A person approves, refuses, or does not answer in time."""
