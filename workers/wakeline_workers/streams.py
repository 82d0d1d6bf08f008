"""Standard streams of a process that was started without them."""

from __future__ import annotations

import os
import sys
from contextlib import suppress


def hold_places() -> None:
    """Opens what is closed of the descriptors 0 to 2 on nothing. One left free would be given to the next socket, and what bodies print would go there."""
    for number in range(3):
        with suppress(OSError):
            os.fstat(number)
            continue
        os.open(os.devnull, os.O_RDWR)  # the lowest that is free
        os.set_inheritable(number, True)
    # Only Python's own words for them are missing then.
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)  # pyright: ignore[reportUnnecessaryComparison]
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)  # pyright: ignore[reportUnnecessaryComparison]
