"""A tool: a function that does one piece of work. A body calls it, or it is started as a process.

Invariant: all attempts of one call share one idempotency key.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Generic, Literal, ParamSpec, Protocol, TypeVar, get_args

from pydantic import ValidationError

from wakeline.arguments import Signature, check_body, check_no_context, own_name
from wakeline.cancellation import CancellationToken
from wakeline.environments.spec import EMPTY, EnvironmentSpec
from wakeline.errors import REPEATED, BodyInvalid, WrongVerb
from wakeline.names import check_name, check_queue, former_names
from wakeline.processes.limits import Limit
from wakeline.tools.definition import (
    MATERIALIZE,
    ArgumentProjection,
    Availability,
    Policy,
    RetryPolicy,
    Scheduling,
    ToolContract,
    ToolManifest,
)
from wakeline.typed import describe, schema_of
from wakeline.values import parse_duration

P = ParamSpec("P")
R = TypeVar("R")
Duration = timedelta | int | float | str
Isolated = Literal["process"]
MOST_RETRIES = 1_000


class RunningBody(Protocol):
    """The run whose body the current code is."""

    @property
    def process_id(self) -> str:
        """The id of the process that runs."""
        ...

    @property
    def is_replaying(self) -> bool:
        """Whether the body has not come to the end of what it did before."""
        ...

    def named(self, verb: str) -> str:
        """How the body writes a verb of its context."""
        ...

    def facts(self) -> Mapping[str, Any]:
        """What a log entry says of the run."""
        ...

    def carried(self, code: Coroutine[Any, Any, Any]) -> Coroutine[Any, Any, Any]:
        """The coroutine of a task that the body makes."""
        ...


current_body: ContextVar[RunningBody | None] = ContextVar("wakeline_run", default=None)
"""The run whose body the current code is; None outside of a body, and in the code of a step or a tool."""


current_run: ContextVar[RunningBody | None] = ContextVar("wakeline_of_run", default=None)
"""The run that the current code belongs to, also in the code of its steps and tools."""


class outside_body:
    """Surrounds the code of a step, a tool or a deferred call. That code is recorded as a whole, so it may do anything,
    also through `App`."""

    __slots__ = ("_mark",)

    def __enter__(self) -> None:
        self._mark = current_body.set(None)

    def __exit__(self, *_: object) -> None:
        current_body.reset(self._mark)


class Tool(Generic[P, R]):
    """What `@app.tool` makes of a function. It stays callable as before, except in a body, which calls it through its
    context."""

    def __init__(
        self,
        function: Callable[P, Any],
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
        isolation: Isolated | None = None,
        limit: Limit | None = None,
        was: Sequence[str] | str = (),
    ) -> None:
        self.name = check_name(own_name("tool", function, name), "tool")
        self.was = former_names(self.name, was, f"tool {self.name}")
        """The names that it had before, oldest first. Stored processes have these names."""
        check_body(self.name, function)
        check_no_context(self.name, function)
        self.function = function
        self.signature = Signature(self.name, function)
        self.retry = RetryPolicy(
            policy=policy, retries=retries, base_ms=parse_duration(backoff), max_ms=parse_duration(max_backoff)
        )
        self.timeout_ms = parse_duration(timeout) if timeout is not None else None
        self.prepare = prepare
        self.isolation = isolation
        self.limit = limit.check(self.name, parameters=self.signature.names) if limit is not None else None
        for reason in self._complaints():
            raise BodyInvalid(name=self.name, reason=reason)
        self.queue = check_queue(queue) if queue is not None else None
        self._examples = tuple(examples)
        self._contract: ToolContract | None = None
        about: dict[str, Any] = {
            "id": id if id is not None else f"tool:{self.name}",
            "description": description if description is not None else inspect.getdoc(function) or "",
            "availability": availability,
            "scheduling": scheduling,
            "argument_projection": projection,
            "bindings": bindings or {},
        }
        self.manifest = self._manifest(about)
        """What is always loaded of it."""
        self.is_async = inspect.iscoroutinefunction(function)
        self.__name__ = self.name
        self.__doc__ = function.__doc__

    def _manifest(self, about: dict[str, Any]) -> ToolManifest:
        try:
            return ToolManifest(name=self.name, retry_policy=self.retry.policy, **about)
        except ValidationError as error:
            raise BodyInvalid(name=self.name, reason=describe(error)) from error

    @property
    def first_name(self) -> str:
        """The oldest of its names. Limits, subscriptions and schedules are stored under it, so a rename changes none of
        them."""
        return (*self.was, self.name)[0]

    @property
    def is_apart(self) -> bool:
        """Whether each call of it is a separate process, because it has a queue or a limit, or runs in a child
        process."""
        return self.queue is not None or self.isolation is not None or self.limit is not None

    @property
    def contract(self) -> ToolContract:
        """Its schemas, from its annotations; made when they are asked for."""
        if self._contract is None:
            self._contract = ToolContract(
                input_schema=self.signature.schema,
                output_schema=schema_of(self.signature.result),
                examples=self._examples,
            )
        return self._contract

    def _complaints(self) -> list[str]:
        found: list[str] = []
        if self.retry.policy not in get_args(Policy):
            found.append(f"its policy is {self.retry.policy!r}, it has to be one of {', '.join(get_args(Policy))}")
        if not isinstance(self.retry.retries, int) or not 0 <= self.retry.retries <= MOST_RETRIES:  # pyright: ignore[reportUnnecessaryIsInstance]
            found.append(f"its retries are {self.retry.retries!r}, they have to be 0 to {MOST_RETRIES}")
        if inspect.iscoroutinefunction(self.prepare):
            found.append(
                "its prepare is `async def`; it runs where a call is started, in blocking code too, so it has to be "
                "`def`"
            )
        if self.isolation not in (None, "process"):
            found.append(f'its isolation is {self.isolation!r}, it has to be "process" or left out')
        if self.timeout_ms == 0:
            found.append("its timeout is 0, so no try could end; leave it out for no timeout")
        return found

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        self._check_here()
        result: R = self.function(*args, **kwargs)
        return result

    def _check_here(self) -> None:
        """Raises `WrongVerb` in a body. A plain call is not recorded there, so each replay would repeat it."""
        body = current_body.get()
        if body is not None:
            raise WrongVerb(
                verb=f"A plain call of the tool {self.name}", use=body.named(f"call({self.name}, …)"), harm=REPEATED
            )

    def __repr__(self) -> str:
        return f"<Tool {self.name}>"


class AsyncTool(Tool[P, R]):
    """A tool made of an ``async def`` function. It is started and called like any other; a plain call gives a
    coroutine."""

    # Type checkers are right that this is another result. A body never sees it, since `start` and `call` take P and R
    # alone. pyright: ignore[reportIncompatibleMethodOverride]
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:  # type: ignore[override]
        self._check_here()
        result: Coroutine[Any, Any, R] = self.function(*args, **kwargs)
        return result


@dataclass(frozen=True, slots=True)
class Pending:
    """What a tool returns if its work goes on elsewhere; the token of the call resolves it. ``timeout_ms`` None has no
    timeout."""

    timeout_ms: int | None


@dataclass(frozen=True, slots=True)
class CurrentCall:
    """The call in which a tool's code runs; `current()` returns it."""

    tool: str
    process_id: str
    idempotency_key: str
    attempt: int
    token: str = field(repr=False)
    """The bearer token that resolves the call after `pending`, once: by HTTP, the command line or ``app.resolve``."""
    run_token: CancellationToken = field(repr=False)
    append: Callable[[str, Any], None] = field(repr=False)
    prepared: Any = None
    """What the tool's ``prepare`` made of the arguments. It ran once, where the call was started."""
    leave_note: Callable[[Any], None] | None = field(default=None, repr=False)
    tell_trigger: Callable[[str, Any, str | None, str | None], None] | None = field(default=None, repr=False)
    environment_of: Callable[[], EnvironmentSpec] = field(default=lambda: EMPTY, repr=False)
    attachments_of: Callable[[], Any] | None = field(default=None, repr=False)

    @property
    def cancelled(self) -> bool:
        """True once a cancel of the process was seen."""
        return self.run_token.cancelled

    @property
    def environment(self) -> EnvironmentSpec:
        """What the process of this call is allowed to see, captured when it was started."""
        return self.environment_of()

    @property
    def attachments(self) -> Any:
        """The attachments of the process this call runs in (`Attachments`, and in an ``async def`` tool
        `AsyncAttachments`).

        Raises `WrongVerb` if the tool runs outside a worker.
        """
        if self.attachments_of is None:
            raise WrongVerb(verb="current().attachments", use="it inside a tool that a worker runs")
        return self.attachments_of()

    @property
    def cancellation(self) -> CancellationToken:
        """The token of this call, which is cancelled with its process. Code that blocks can wait for it instead of
        asking repeatedly."""
        return self.run_token.child()

    def emit(self, event_type: str, payload: Any = None) -> None:
        """Append an event to the process of this call. It is sent when the tool returns."""
        self.append(event_type, payload)

    def log(self, message: str, **fields: Any) -> None:
        """Append a ``log`` event. It is sent when the tool returns."""
        self.append("log", {"message": message, **fields})

    def trigger(
        self, source: str, payload: Any = None, *, key: str | None = None, source_key: str | None = None
    ) -> None:
        """Say that something happened at a source. It is recorded once this attempt succeeded. Without a ``key``, the
        key of the call makes it one occurrence over all attempts; ``ctx.execution.drain_tool_trigger_outcomes()`` gives
        the receipts. Raises `InvalidId`, `InvalidPayload` at once."""
        if self.tell_trigger is not None:
            self.tell_trigger(source, payload, key, source_key)

    def note(self, note: Any) -> None:
        """Leave a note for the body that called the tool: ``ctx.execution.notes`` gives it, once."""
        if self.leave_note is not None:
            self.leave_note(note)

    def pending(self, timeout: Duration | None = None) -> Any:
        """Return this from the tool: the call ends when its token is resolved. Meanwhile it holds no worker."""
        return Pending(parse_duration(timeout) if timeout is not None else None)


current_call: ContextVar[CurrentCall | None] = ContextVar("wakeline_tool_call", default=None)


def current() -> CurrentCall:
    """The call in which this tool code runs; raises `WrongVerb` outside of one."""
    call = current_call.get()
    if call is None:
        raise WrongVerb(verb="current()", use="it inside a tool that a body calls or a worker runs")
    return call
