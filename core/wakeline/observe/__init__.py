"""Read models: what the store holds, as values that a person or a program can read."""

from wakeline.observe.events import EventView, RunFacts
from wakeline.observe.processes import Status
from wakeline.observe.sessions import Message, SessionReport
from wakeline.observe.waits import WaitView
from wakeline.pages import Page
from wakeline.processes.misfit import Misfit
from wakeline.sessions.feed import Committed, EntryChanged, Gap, SessionGone, TurnActivity
from wakeline.sessions.life import InboxEntry
from wakeline.store.feed import SessionNode
from wakeline.store.sessions import Deleted, SessionView

__all__ = [
    "Committed",
    "Deleted",
    "EntryChanged",
    "EventView",
    "Gap",
    "InboxEntry",
    "Message",
    "Misfit",
    "Page",
    "RunFacts",
    "SessionGone",
    "SessionNode",
    "SessionReport",
    "SessionView",
    "Status",
    "TurnActivity",
    "WaitView",
]
