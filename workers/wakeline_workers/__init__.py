"""Who runs Wakeline's processes: the worker loop, its supervisor, the RQ job function and the command line."""
