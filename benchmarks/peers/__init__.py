"""Other systems of this field, measured in the same way, in the same run and on the same server, or on one of their
own; one module each."""
