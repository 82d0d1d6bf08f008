"""What a process is: inputs, event types, registration, the record as a fold, lifecycle, leases, grants. Pure."""
