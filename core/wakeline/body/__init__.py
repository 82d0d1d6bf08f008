"""What a body can do: the verbs of its context, each an effect of its run."""
