"""What an app declares: tools, engines, agents, and the modules that hold more of them.

Invariant: for type checkers, what a decorator returns has the parameters and the result of its function.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Concatenate, Literal, ParamSpec, Protocol, TypeVar, overload

from wakeline.arguments import own_name
from wakeline.body.blocking import Ctx, Turn
from wakeline.body.context import AsyncCtx
from wakeline.body.turn import AsyncTurn
from wakeline.engines.engine import Engine, OnMismatch, check_pairing, context_name
from wakeline.engines.hosted import HostedEngine
from wakeline.engines.protocol import EngineProtocol
from wakeline.engines.registry import Registry
from wakeline.environments.spec import EMPTY, EnvironmentSpec
from wakeline.errors import DuplicateName
from wakeline.names import check_queue
from wakeline.processes.limits import Limit, limit_id, queue_limit_id
from wakeline.sessions.admission import ALL_KINDS, MOST_ENTRIES, Arrival, EntryKind
from wakeline.sessions.agent import Agent
from wakeline.store.keys import queue_name
from wakeline.telemetry.instrument import Instrument
from wakeline.telemetry.instruments import Instruments
from wakeline.tools.catalog import ToolProvider
from wakeline.tools.completions import CompletionClient
from wakeline.tools.definition import MATERIALIZE, ArgumentProjection, Availability, Policy, Scheduling
from wakeline.tools.hooks import AfterHook, BeforeHook
from wakeline.tools.tool import AsyncTool, Duration, Tool
from wakeline.triggers.schedule import Missed, Overlap, Schedule
from wakeline.verbs.triggers import schedule_of

P = ParamSpec("P")
R = TypeVar("R")
H = TypeVar("H", bound=BeforeHook)
A = TypeVar("A", bound=AfterHook)
I = TypeVar("I", bound=Instrument)  # noqa: E741
AgentFunction = Callable[[AsyncTurn], Coroutine[Any, Any, Any]] | Callable[[Turn], Any]
"""A function that runs a turn; what it returns joins the history as the agent's message."""


class ToolDecorator(Protocol):
    """The type of ``@app.tool(…)``, which keeps parameters and result."""

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTool[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Tool[P, R]: ...


class EngineDecorator(Protocol):
    """The type of ``@app.engine(…)``, which removes the context and keeps the rest."""

    @overload
    def __call__(self, function: Callable[Concatenate[AsyncCtx, P], Coroutine[Any, Any, R]], /) -> Engine[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Ctx, P], R], /) -> Engine[P, R]: ...


class Declarations:
    """The bodies of one app, by name."""

    def __init__(self, namespace: str, environment: EnvironmentSpec = EMPTY) -> None:
        self.namespace = namespace
        self.registry = Registry(environment)
        self.included: tuple[str, ...] = ()
        self.queue_limits: dict[str, Limit] = {}

    @overload
    def tool(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTool[P, R]: ...
    @overload
    def tool(self, function: Callable[P, R], /) -> Tool[P, R]: ...
    @overload
    def tool(
        self,
        /,
        *,
        name: str | None = None,
        retries: int = 0,
        policy: Policy = "safe",
        backoff: Duration = 0.2,
        max_backoff: Duration = 60,
        timeout: Duration | None = None,
        queue: str | None = None,
        id: str | None = None,  # noqa: A002
        description: str | None = None,
        availability: Availability = "callable",
        scheduling: Scheduling = "parallel",
        projection: ArgumentProjection = MATERIALIZE,
        bindings: dict[str, Any] | None = None,
        examples: Sequence[dict[str, Any]] = (),
        prepare: Callable[[dict[str, Any]], Any] | None = None,
        isolation: Literal["process"] | None = None,
        limit: Limit | None = None,
        was: Sequence[str] | str = (),
    ) -> ToolDecorator: ...
    def tool(self, function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
        """Declares a tool.

        ``retries`` is the number of further tries after the first. With ``policy="never"`` it is not tried again, even
        after a crash. ``timeout`` is the time of one try. With ``isolation="process"`` its code runs in a child process
        of the worker. That child is killed where a thread could not be: at the timeout, after a cancel's grace, with a
        lost lease. What the code does to its process harms no other work. ``limit`` says how many run at once, or begin
        in a time; see `Limit`.

        The rest is its manifest: ``scheduling="serial"`` in a batch, ``availability``, and ``prepare``. ``prepare``
        gets the arguments (JSON by name), once, where the call is started, and makes of them what
        ``current().prepared`` gives. ``was`` are its former names, oldest first, so that recorded calls of those names
        are its own.
        """

        def declare(f: Callable[..., Any]) -> Tool[..., Any]:
            return self.registry.add(
                "tool", self.registry.tools, (AsyncTool if inspect.iscoroutinefunction(f) else Tool)(f, **options)
            )

        return declare(function) if function is not None else declare

    @overload
    def engine(self, function: Callable[Concatenate[AsyncCtx, P], Coroutine[Any, Any, R]], /) -> Engine[P, R]: ...
    @overload
    def engine(self, function: Callable[Concatenate[Ctx, P], R], /) -> Engine[P, R]: ...
    @overload
    def engine(
        self,
        /,
        *,
        name: str | None = None,
        signals: Mapping[str, Any] | None = None,
        events: Mapping[str, Any] | None = None,
        queue: str | None = None,
        version: str | None = None,
        default: bool = False,
        label: Callable[..., str] | str | None = None,
        validate: Callable[..., Any] | None = None,
        limit: Limit | None = None,
        was: Sequence[str] | str = (),
        on_mismatch: OnMismatch = "wait",
    ) -> EngineDecorator: ...
    def engine(self, function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
        """Declares an engine.

        ``signals`` and ``events`` map names to payload types (or `Signal`, `Event`). With ``signals`` all other signals
        are refused. Several engines of one name may have a ``version`` each. The last declared one (or the one with
        ``default``) is started, and each runs the processes that were started for it. ``label`` (a callable of the
        arguments, or a text with ``{field}`` holes) is shown in lists. An exception of ``validate`` (called with the
        arguments) refuses a start. ``limit`` says how many run at once, or begin in a time; see `Limit`. ``was`` are
        its former names, oldest first; it runs their processes. ``on_mismatch`` says whether a process with a mismatch
        waits for code that fits, or fails at once.
        """

        def declare(f: Callable[..., Any]) -> Engine[..., Any]:
            own_name("engine", f, options.get("name"))
            return self.registry.add_engine(Engine(f, context=context_name(f), **options))

        return declare(function) if function is not None else declare

    def add_engine(self, engine: EngineProtocol) -> Engine[[Any], Any]:
        """Registers an object that implements the engine protocol; start it with its payload."""
        return self.registry.add_engine(HostedEngine(engine))

    @overload
    def agent(self, function: AgentFunction, /) -> Agent: ...
    @overload
    def agent(
        self,
        name: str | None = None,
        *,
        queue: str | None = None,
        max_entries: int = MOST_ENTRIES,
        kinds: Iterable[EntryKind] = ALL_KINDS,
        one_at_a_time: bool = False,
        on_arrival: Arrival = "next_turn",
        debounce: Duration | None = None,
        debounce_max: Duration | None = None,
        linger: Duration | None = None,
        on_failure: Literal["settle", "block"] = "settle",
        max_attempts: int = 5,
        context: Mapping[str, Any] | None = None,
    ) -> Callable[[AgentFunction], Agent]: ...
    def agent(self, name: Any = None, **options: Any) -> Any:
        """Declares an agent: the function that runs the turns of its sessions. A turn takes at most ``max_entries`` of
        the inbox, of these ``kinds``.

        ``on_arrival`` says what a new entry means for a running turn: nothing ("next_turn"), the turn may ask for it
        with `arrivals` ("early"), or the turn gives way ("interrupt"). A turn waits ``debounce`` for more after an
        arrival, at most ``debounce_max``. After a quick turn with several entries, the next turn waits ``linger`` (40
        ms unless given) for more, so that a burst costs few turns. ``on_failure`` says what becomes of an entry whose
        turn failed ``max_attempts`` times: it is settled as failed, or the session stands still. ``context`` is plain
        data that its turns find as ``turn.execution.turn_context``.
        """

        def declare(f: AgentFunction) -> Agent:
            made = Agent(f, name=None if f is name else name, **options)
            check_pairing(made.name, f, context="AsyncTurn" if made.is_async else "Turn", found=context_name(f))
            return self.registry.add("agent", self.registry.agents, made)

        return declare if name is None or isinstance(name, str) else declare(name)

    def cron(
        self,
        expression: str,
        body: Engine[..., Any] | Tool[..., Any],
        *,
        name: str | None = None,
        input: Mapping[str, Any] | None = None,  # noqa: A002
        timezone: str = "UTC",
        missed: Missed = "once",
        overlap: Overlap = "allow",
        wake: str | None = None,
        queue: str | None = None,
        labels: dict[str, str] | None = None,
    ) -> Schedule:
        """Starts this body at the moments of a cron expression of five fields, on the wall clock of a time zone.
        Workers make it known when they start.

        Random fields (``R``, ``R(1-5)``, ``R/15``) are drawn from ``name``, which has to be given for them. ``missed``:
        moments at which no worker ran become one start (``"once"``), none (``"skip"``) or one each (``"all"``).
        ``overlap``: while a process of the schedule still runs, the next one starts too (``"allow"``), is left out
        (``"skip"``), or replaces it (``"replace"``). ``name`` is the name of the schedule in all releases; by default
        it is the body's name. Raises `InvalidSchedule`, `InvalidArguments`, `DuplicateName`.
        """
        made = schedule_of(
            expression,
            body,
            name=name,
            input=input,
            timezone=timezone,
            missed=missed,
            overlap=overlap,
            wake=wake,
            queue=queue,
            labels=labels,
            captured=self.registry.environment,
        )
        known = self.registry.schedules.setdefault(made.name, made)
        if known.content_hash != made.content_hash:
            raise DuplicateName(kind="schedule", name=made.name)
        return known

    def add_provider(self, provider: ToolProvider) -> None:
        """Adds tools that are no functions of this app. Providers are asked in the order of their addition, after the
        app's own tools."""
        self.registry.providers.append(provider)

    def before_call(self, hook: H) -> H:
        """Declares a hook that sees every tool call first; see `ToolRequest`."""
        self.registry.hooks.before.append(hook)
        return hook

    def after_call(self, hook: A) -> A:
        """Declares a hook that sees the outcome of every tool call and may replace it."""
        self.registry.hooks.after.append(hook)
        return hook

    def extend(self, extension: object) -> None:
        """Adds an object that code finds by its type: ``ctx.execution.protocol_extension(ItsType)``. There is one of
        each type."""
        if type(extension) in self.registry.extensions:
            raise DuplicateName(kind="extension", name=type(extension).__name__)
        self.registry.extensions[type(extension)] = extension

    def use_completions(self, client: CompletionClient) -> None:
        """Sets the client that ``ctx.execution.complete(…)`` asks: your own, `ToolCompletions`, or
        `UnavailableCompletions`."""
        self.registry.completions = client

    @property
    def instruments(self) -> Instruments:
        """What is told of the work of this app, with how often each of them raised."""
        return self.registry.instruments

    def observe(self, instrument: I) -> I:
        """Tells an instrument (a tracer, metrics) what this app does from now on, inside those that it has already. See
        `Instrument`. Raises `SettingsInvalid` for what is not one."""
        self.registry.instruments.add(instrument)
        return instrument

    def limit_queue(
        self,
        queue: str | None = None,
        *,
        concurrency: int | None = None,
        rate: str | None = None,
        burst: int | None = None,
    ) -> None:
        """Limits what runs from a queue (the app's own, unless given) over all workers; see `Limit`. Workers make it
        known when they start."""
        name = queue_name(self.namespace, check_queue(queue) if queue is not None else None)
        self.queue_limits[name] = Limit(concurrency, rate, burst=burst).check(f"queue {name}", keyed=False)

    @property
    def limits(self) -> dict[str, str]:
        """The limits of all bodies and queues, in the form of the scripts; empty for a body without one."""
        r = self.registry
        declared: list[Engine[..., Any] | Tool[..., Any]] = [*r.engines.values(), *r.tools.values()]
        bodies = {limit_id(one.first_name): one.limit.wire() if one.limit is not None else "" for one in declared}
        return (
            bodies
            | {queue_limit_id(queue): "" for queue in self.queues}
            | {queue_limit_id(queue): limit.wire() for queue, limit in self.queue_limits.items()}
        )

    def include(self, *modules: str) -> None:
        """Names modules that declare more bodies. Programs that load this app by name (workers, the command line)
        import them then."""
        self.included = tuple(dict.fromkeys((*self.included, *modules)))

    @property
    def queues(self) -> tuple[str, ...]:
        """The RQ names of all queues that its bodies use."""
        r = self.registry
        named = [
            *(t.queue for t in r.tools.values()),
            *(e.queue for e in r.engines.values()),
            *(a.queue for a in r.agents.values()),
        ]
        own = {queue_name(self.namespace, check_queue(queue)) for queue in named if queue}
        return (queue_name(self.namespace, None), *sorted(own))

    @property
    def known_queues(self) -> frozenset[str]:
        """The RQ names of the queues that its bodies use or that it limits."""
        return frozenset((*self.queues, *self.queue_limits))
