"""A push to a repository starts a build, and the build's end wakes the agent that looks after it."""
