"""The ids of the RQ jobs that ring, as lib/doorbell.lua makes them."""

from __future__ import annotations


def escaped(text: str) -> str:
    """The text with every byte that is no ASCII letter or digit as ``_xx``: two texts never look alike, and neither
    holds a joint."""
    return "".join(chr(byte) if chr(byte).isalnum() and byte < 128 else f"_{byte:02x}" for byte in text.encode())


def doorbell_id(namespace: str, process_id: str, epoch: int) -> str:
    """The id of the RQ job that rings for a process: ``wl-<namespace>-<process id>-<epoch>``, both escaped, so that two
    apps on one server never have
    one job. RQ fails the whole queue over one id it finds malformed.
    """
    return f"wl-{escaped(namespace)}-{escaped(process_id)}-{epoch}"


def former_doorbell_id(process_id: str, epoch: int) -> str:
    """The same as the release before wrote it: read for as long as such doorbells may lie in a queue."""
    return f"wl-{escaped(process_id)}-{epoch}"
