"""A module of the user's beside the app."""

from __future__ import annotations


def weigh(kilos: int) -> int:
    return _check(kilos)


def _check(kilos: int) -> int:
    raise ValueError(f"{kilos} kg\x1b]0;owned\x07 is too much\nfor this scale")
