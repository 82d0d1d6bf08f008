"""Prints the tables: ``python -m wakeline.store > docs/keys.md``, ``python -m wakeline.store formats >
docs/formats.md``."""

import sys

from wakeline.store import document, formats

print(formats.markdown() if sys.argv[1:] == ["formats"] else document.markdown(), end="")
