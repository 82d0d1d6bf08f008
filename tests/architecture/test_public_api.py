"""What `import wakeline` gives: pinned by name, at run time and for type checkers; and twins that differ in how they
are waited for alone."""

from __future__ import annotations

import ast
import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, get_args, get_origin, get_type_hints

import pytest
import wakeline
from mypy.build import build
from mypy.modulefinder import BuildSource
from mypy.options import Options as MypyOptions
from wakeline import execution, extending, observe
from wakeline.body.triggers import AsyncBodyTrigger, BodyTrigger
from wakeline.client.starters import AsyncStarter, Starter
from wakeline.client.triggers import AsyncTrigger, Trigger
from wakeline.verbs.attachments import AsyncAttachments, Attachments
from wakeline.verbs.options import Options, StartOptions

ROOT = Path(__file__).parents[2]
PUBLIC = [
    # declaring
    "App",
    "Agent",
    "AsyncTool",
    "Attachment",
    "Engine",
    "EnvironmentSpec",
    "Event",
    "Limit",
    "Schedule",
    "Settings",
    "Signal",
    "Tool",
    # in a body
    "AsyncApproval",
    "AsyncChild",
    "AsyncCtx",
    "AsyncTurn",
    "Approval",
    "Child",
    "Ctx",
    "Inbox",
    "InboxItem",
    "CurrentCall",
    "Turn",
    "current",
    "current_context",
    "AsyncAttachments",
    "AsyncBodyTrigger",
    "Attachments",
    "BlockingExecutionContext",
    "BodyTrigger",
    "CancellationToken",
    "ExecutionContext",
    # from outside, blocking and awaited
    "External",
    "Handle",
    "Many",
    "ManyOptions",
    "Session",
    "Starter",
    "StartOptions",
    "Trigger",
    "WakeTarget",
    "AsyncApp",
    "AsyncExternal",
    "AsyncHandle",
    "AsyncMany",
    "AsyncSession",
    "AsyncStarter",
    "AsyncTrigger",
    # what they show
    "CancelledOutput",
    "EffectView",
    "EventView",
    "Failure",
    "EntryView",
    "Message",
    "Page",
    "ProcessView",
    "Receipt",
    "SessionView",
    "Status",
    "Subscribed",
    "SubscriptionView",
    "Success",
    # raised by tools
    "NonRetryable",
    "RetryAfter",
    # caught by callers and bodies
    "WakelineError",
    "ProcessAbandoned",
    "ProcessCancelled",
    "ProcessFailed",
    "ProcessNotFound",
    "SessionDeleted",
    "StepFailed",
    "ToolFailed",
    "WaitCancelled",
    "WaitTimeout",
]

# -- the names


def test_the_public_names_are_these_in_these_groups() -> None:
    assert wakeline.__all__ == PUBLIC


def test_nothing_else_is_to_be_had_at_run_time_but_the_modules_behind_them() -> None:
    found = {
        name
        for name in dir(wakeline)
        if not name.startswith("_") and not isinstance(getattr(wakeline, name), ModuleType)
    }
    assert found == {*PUBLIC, "TYPE_CHECKING"}


MODULES = (wakeline, observe, execution, extending)
"""Where a user finds the types that verbs take and give, beside `wakeline.errors`."""
MADE_BY_USERS = (
    wakeline.App,
    wakeline.Limit,
    wakeline.Event,
    wakeline.Signal,
    wakeline.Settings,
    wakeline.RetryAfter,
    wakeline.NonRetryable,
)
"""What a user constructs; other classes are made by Wakeline, with parts that are its own."""
INNER = {
    # of an app, for workers and the command line
    "address", "backend", "connect", "declared", "new_async_store", "run", "store",
    "event_type", "event_types", "identity",  # of an engine, for starts and senders
    "carried", "producible",  # of a registration, for runs and senders
    "dispatch", "in_process", "with_process_event_context",  # of an execution context, for its own parts
}  # fmt: skip


def _types_in(annotation: Any) -> Iterator[type]:
    for part in annotation if isinstance(annotation, (list, tuple)) else get_args(annotation):
        yield from _types_in(part)
    origin = annotation if isinstance(annotation, type) else get_origin(annotation)
    if isinstance(origin, type):
        yield origin


def _verbs_of(made: type) -> Iterator[tuple[str, Any]]:
    for name, member in inspect.getmembers(made):
        called = member.fget if isinstance(member, property) else member
        shown = not name.startswith("_") or (name == "__init__" and made in MADE_BY_USERS)
        if shown and name not in INNER and inspect.isfunction(called) and called.__module__.startswith("wakeline"):
            yield name, called


def test_every_type_that_a_public_verb_takes_or_gives_can_be_imported() -> None:
    public = {name for module in MODULES for name in module.__all__}
    classes = [
        found for module in MODULES for name in module.__all__ if inspect.isclass(found := getattr(module, name))
    ]
    missing: set[str] = set()
    seen = 0
    for made in classes:
        for name, called in _verbs_of(made):
            for what, annotation in get_type_hints(called).items():
                for one in _types_in(annotation):
                    seen += one.__module__.startswith("wakeline")
                    if (
                        one.__module__.startswith("wakeline")
                        and one.__name__ not in public
                        and one.__module__ != "wakeline.errors"
                    ):
                        missing.add(f"{made.__name__}.{name} ({what}): {one.__module__}.{one.__name__}")
    assert sorted(missing) == []
    assert seen > 300


def test_type_checkers_see_the_same_names() -> None:
    options = MypyOptions()
    options.mypy_path, options.cache_dir, options.follow_imports = [str(ROOT / "core")], os.devnull, "silent"
    result = build([BuildSource(str(ROOT / "core/wakeline/__init__.py"), "wakeline")], options)
    assert result.errors == []
    seen = {
        name
        for name, symbol in result.files["wakeline"].names.items()
        if symbol.module_public and not name.startswith("__")
    }
    assert seen == set(PUBLIC)


def test_each_name_comes_at_run_time_from_where_type_checkers_read_it() -> None:
    imports = [
        node
        for node in ast.walk(ast.parse(Path(wakeline.__file__).read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
    ]
    read = {
        alias.name: str(node.module)
        for node in imports
        if str(node.module).startswith("wakeline.")
        for alias in node.names
    }
    assert sorted(read) == sorted(PUBLIC)
    code = (
        "import sys, wakeline; getattr(wakeline, sys.argv[1]); print(sorted(m for m in sys.modules if"
        " m.startswith('wakeline.')))"
    )
    assert {name: getattr(wakeline, name) for name in read} == {
        name: getattr(import_module(home), name) for name, home in read.items()
    }
    assert {home for home, names in wakeline._HOMES.items() for name in names.split() if read[name] != home} == set()
    done = subprocess.run(
        [sys.executable, "-c", code, "WakelineError"], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "['wakeline.errors']\n"


def test_a_module_of_it_is_there_without_being_imported_and_no_other_name_is() -> None:
    code = (
        "import wakeline; print(wakeline.errors.WakelineError.__name__, wakeline.settings.__name__, hasattr(wakeline,"
        " 'nosuch'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "WakelineError wakeline.settings False\n"
    with pytest.raises(AttributeError, match="module 'wakeline' has no attribute 'Nosuch'"):
        _ = wakeline.Nosuch  # type: ignore[attr-defined]


def test_both_packages_say_that_they_are_typed() -> None:
    assert (ROOT / "core/wakeline/py.typed").is_file()
    assert (ROOT / "workers/wakeline_workers/py.typed").is_file()


def test_importing_it_connects_to_nothing_and_loads_neither_workers_nor_rq() -> None:
    code = (
        "import sys, wakeline; print(sorted({m.partition('.')[0] for m in sys.modules} & {'rq', 'wakeline_workers',"
        " 'click', 'fakeredis'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


# -- twins

Shown = list[tuple[str, Any, Any]] | str


def face(kind: type) -> dict[str, Shown]:
    """The public methods of a class with name, kind and default of their parameters, and its properties."""
    found: dict[str, Shown] = {}
    for name in dir(kind):
        value = inspect.getattr_static(kind, name)
        if name.startswith("_") or not (callable(value) or isinstance(value, property)):
            continue
        found[name] = (
            "property"
            if isinstance(value, property)
            else [(p.name, p.kind, p.default) for p in inspect.signature(value).parameters.values()]
        )
    return found


def awaited(kind: type, name: str) -> bool:
    value = inspect.getattr_static(kind, name)
    return inspect.iscoroutinefunction(value) or inspect.isasyncgenfunction(value)


CONTEXT = {"attachments", "execution", "id", "cancelled", "stopping", "attempt", "idempotency_key", "log"}
NEVER_AWAITED = {
    "using",
    "handle",
    "session",
    "trigger",
    "defer",
    "now",
    "uuid",
    "random",
    "patched",
    "deprecated_patch",
}
TWINS: list[tuple[type, type, set[str]]] = [
    (
        wakeline.App,
        wakeline.AsyncApp,
        {
            "start",
            "start_many",
            "using",
            "handle",
            "session",
            "external",
            "trigger",
            "resolve",
            "approvals",
            "answer",
            "processes",
            "sessions",
            "waits",
            "fleet",
            "metrics",
            "doctor",
            "pause",
            "resume",
            "why",
            "undeliverable",
            "close",
        },
    ),
    (Starter, AsyncStarter, {"start", "start_many"}),
    (wakeline.Many, wakeline.AsyncMany, {"cancel", "retry", "signal", "redrive", "prune"}),
    (
        wakeline.Handle,
        wakeline.AsyncHandle,
        {"result", "status", "view", "why", "signal", "cancel", "retry", "retarget", "effects", "children", "events"},
    ),
    (
        wakeline.External,
        wakeline.AsyncExternal,
        {
            "result",
            "status",
            "view",
            "why",
            "signal",
            "cancel",
            "retry",
            "retarget",
            "effects",
            "children",
            "events",
            "emit",
            "finish",
            "fail",
        },
    ),
    (
        wakeline.Session,
        wakeline.AsyncSession,
        {
            "send",
            "command",
            "ask",
            "create",
            "delete",
            "inspect",
            "wakes",
            "why",
            "redrive",
            "skip",
            "view",
            "history",
            "frames",
            "state",
            "turn",
            "follow",
            "append",
            "graph",
        },
    ),
    (Attachments, AsyncAttachments, {"put", "get", "head", "delete", "list"}),
    (Trigger, AsyncTrigger, {"emit", "subscribe", "subscriptions", "enable", "disable", "remove"}),
    (BodyTrigger, AsyncBodyTrigger, {"emit", "subscribe"}),
    (wakeline.Child, wakeline.AsyncChild, {"result", "signal", "cancel"}),
    (wakeline.Approval, wakeline.AsyncApproval, {"wait"}),
    (
        wakeline.Ctx,
        wakeline.AsyncCtx,
        {
            "call",
            "call_batch",
            "start",
            "using",
            "wake",
            "gather",
            "race",
            "step",
            "sleep",
            "sleep_until",
            "wait",
            "signal",
            "cancel",
            "ask",
            "emit",
            "trigger",
            "approval",
            "continue_as_new",
            "effect",
            "defer",
            "now",
            "uuid",
            "random",
            "patched",
            "deprecated_patch",
        },
    ),
]
ONLY_BLOCKING = {
    "App": {
        "tool",
        "engine",
        "add_engine",
        "cron",
        "agent",
        "include",
        "add_provider",
        "before_call",
        "after_call",
        "observe",
        "instruments",
        "extend",
        "use_completions",
        "queues",
        "known_queues",
        "limits",
        "limit_queue",
        "declared",
        "backend",
        "connect",
        "address",
        "new_async_store",
        "aio",
        "run",
        "execution",
    },
    "Child": {"id"},
    "Approval": {"token"},
}
"""An app declares and connects for both of its faces; what an awaited child or approval shows is a field there."""


@pytest.mark.parametrize(("blocking", "twin", "verbs"), TWINS, ids=lambda value: getattr(value, "__name__", ""))
def test_an_awaited_twin_has_the_same_names_and_parameters(blocking: type, twin: type, verbs: set[str]) -> None:
    only = ONLY_BLOCKING.get(blocking.__name__, set())
    assert face(blocking).keys() - face(twin).keys() == only
    assert face(twin) == {name: shown for name, shown in face(blocking).items() if name not in only}
    assert {name for name, shown in face(twin).items() if shown != "property"} == verbs


@pytest.mark.parametrize(("blocking", "twin", "verbs"), TWINS, ids=lambda value: getattr(value, "__name__", ""))
def test_every_verb_of_the_twin_is_awaited_and_none_of_the_blocking_one(
    blocking: type, twin: type, verbs: set[str]
) -> None:
    assert {name for name in verbs if not awaited(twin, name)} == verbs & NEVER_AWAITED
    assert {name for name in verbs if awaited(blocking, name)} == set()


def test_a_context_shows_these_properties_and_a_turn_its_session_too() -> None:
    for kind in (wakeline.Ctx, wakeline.AsyncCtx):
        assert {name for name, shown in face(kind).items() if shown == "property"} == CONTEXT
    assert face(wakeline.Turn).keys() - face(wakeline.Ctx).keys() == {
        "inbox",
        "state",
        "session_id",
        "revision",
        "frame",
        "arrivals",
        "switch_frame",
    }
    turn, awaited_turn = face(wakeline.Turn), face(wakeline.AsyncTurn)
    assert {
        name for name in awaited_turn.keys() - face(wakeline.AsyncCtx).keys() if awaited_turn[name] != turn[name]
    } == set()
    assert (awaited(wakeline.AsyncTurn, "arrivals"), awaited(wakeline.AsyncTurn, "switch_frame")) == (True, False)


def test_what_using_takes_is_what_type_checkers_are_told() -> None:
    told = {name: hint.__forward_arg__ for name, hint in StartOptions.__annotations__.items()}
    assert told == {field.name: field.type for field in fields(Options)}
    with pytest.raises(TypeError, match="deadlin"):
        wakeline.App("x").using(deadlin="1d")  # type: ignore[call-arg]


@pytest.mark.parametrize("name", PUBLIC)
def test_everything_public_says_what_it_is(name: str) -> None:
    kind = getattr(wakeline, name)
    assert (kind.__doc__ or "").strip()
    silent = [
        own
        for own, value in vars(kind).items()
        if inspect.isclass(kind) and own[0] != "_" and inspect.isfunction(value) and not value.__doc__
    ]
    assert silent == []
