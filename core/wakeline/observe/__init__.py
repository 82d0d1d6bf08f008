"""Read models: what the store holds, as values that a person or a program can read."""

from wakeline.observe.approvals import ApprovalView
from wakeline.observe.doctor import Diagnosis
from wakeline.observe.effects import EffectView, FailedAttemptView
from wakeline.observe.entries import EntryView
from wakeline.observe.events import EventView, RunFacts
from wakeline.observe.findings import Finding
from wakeline.observe.fleet import FleetView, LimitView, QueueView, WorkerView
from wakeline.observe.many import ManyReport, Refusal
from wakeline.observe.metrics import MetricsView
from wakeline.observe.processes import ChildView, ProcessView, Status
from wakeline.observe.reasons import Reason
from wakeline.observe.sessions import Message, SessionStatus, SessionView
from wakeline.observe.setbacks import FailedEffect, Setback
from wakeline.observe.trees import TreeNode, TreeView
from wakeline.observe.triggers import ScheduleView, SubscriptionView
from wakeline.observe.waits import ProcessWait, WaitView
from wakeline.observe.why import WhyView
from wakeline.pages import Page
from wakeline.processes.misfit import Misfit
from wakeline.sessions.feed import Committed, EntryChanged, Gap, SessionGone, TurnActivity
from wakeline.store.feed import SessionNode
from wakeline.store.fleet import ServerFacts
from wakeline.store.sessions import Deleted

__all__ = [
    "ApprovalView",
    "ChildView",
    "Committed",
    "Deleted",
    "Diagnosis",
    "EffectView",
    "EntryChanged",
    "EntryView",
    "EventView",
    "FailedAttemptView",
    "FailedEffect",
    "Finding",
    "FleetView",
    "Gap",
    "LimitView",
    "ManyReport",
    "Message",
    "MetricsView",
    "Misfit",
    "Page",
    "ProcessView",
    "ProcessWait",
    "QueueView",
    "Reason",
    "Refusal",
    "RunFacts",
    "ScheduleView",
    "ServerFacts",
    "SessionGone",
    "SessionNode",
    "SessionStatus",
    "SessionView",
    "Setback",
    "Status",
    "SubscriptionView",
    "TreeNode",
    "TreeView",
    "TurnActivity",
    "WaitView",
    "WhyView",
    "WorkerView",
]
