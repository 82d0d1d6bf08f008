"""The ids of the RQ jobs of doorbells, as lib/doorbell.lua makes them."""

from __future__ import annotations


def escaped(text: str) -> str:
    """The text with every byte that is no ASCII letter or digit as ``_xx``. Two texts never become equal, and no text
    holds a joint."""
    return "".join(chr(byte) if chr(byte).isalnum() and byte < 128 else f"_{byte:02x}" for byte in text.encode())


def doorbell_id(namespace: str, process_id: str, epoch: int) -> str:
    """The id of the RQ job that rings for a process: ``wl-<namespace>-<process id>-<epoch>``. Both are escaped, so that
    two apps on one server never share a job.

    RQ fails the whole queue over one malformed id.
    """
    return f"wl-{escaped(namespace)}-{escaped(process_id)}-{epoch}"


def former_doorbell_id(process_id: str, epoch: int) -> str:
    """The id in the form of the release before, which is read as long as such doorbells may lie in a queue."""
    return f"wl-{escaped(process_id)}-{epoch}"
