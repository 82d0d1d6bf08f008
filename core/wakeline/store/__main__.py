"""Prints the key tables: ``python -m wakeline.store > docs/keys.md``."""

from wakeline.store.keys import markdown

print(markdown(), end="")
