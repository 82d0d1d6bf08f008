"""Work that is done elsewhere, and reported from there."""
