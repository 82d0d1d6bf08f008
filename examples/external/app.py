"""A film is encoded by a machine that runs no Wakeline worker. What it reports is a process, and wakes the editor."""

from __future__ import annotations

from wakeline import App, AsyncTurn, Event, External

app = App("studio")


def encoding(film: str) -> External:
    """The process of an encoding: the first to ask registers it, and later ones get the same."""
    events = {"chapter": Event(dict[str, int], wake="chapter {number} of {of} is ready")}
    return app.external("encoding", id=f"encoding-{film}", wake=app.session("editor", film), events=events)


@app.agent("editor")
async def editor(turn: AsyncTurn) -> str:
    """Reads what it is told, at any time between now and next month."""
    return " / ".join(f"noted: {item.text}" for item in turn.inbox)
