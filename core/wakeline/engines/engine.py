"""An engine: a long-lived function body under a name, with the signals it takes and the events it emits.

Invariant: the name is persisted with every process of the engine; renaming the function needs `name=`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, Literal, NoReturn, ParamSpec, TypeVar, get_type_hints

from wakeline.arguments import Signature, check_body, own_name
from wakeline.engines.declared import declared_events, declared_signals, event_types_of
from wakeline.errors import NOT_DURABLE, BodyInvalid, InvalidArguments, WakelineError, WrongVerb
from wakeline.names import check_name, check_queue, former_names, signal_event_type
from wakeline.processes.events import EventType
from wakeline.processes.inputs import Identity
from wakeline.processes.limits import Limit
from wakeline.processes.selectors import parse_text, select
from wakeline.tools.tool import current_body
from wakeline.typed import schema_of

P = ParamSpec("P")
R = TypeVar("R")
LONGEST_LABEL = 200
OnMismatch = Literal["wait", "fail"]
"""What becomes of a process whose body does something else than its journal records."""


class Engine(Generic[P, R]):
    """What `@app.engine` makes of a function; pass it to ``start``."""

    def __init__(
        self,
        function: Callable[..., Any],
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
        context: str,
    ) -> None:
        self.name = check_name(own_name("engine", function, name), "engine")
        self.was = former_names(self.name, was, f"engine {self.name}")
        """The names that it had before, oldest first. Stored processes have these names."""
        check_body(self.name, function)
        self.function = function
        self.source: Any = function
        self.version = check_name(version, "engine version") if version is not None else None
        self.is_default = default
        if on_mismatch not in ("wait", "fail"):
            raise BodyInvalid(name=self.name, reason=f'its on_mismatch is {on_mismatch!r}; it is "wait" or "fail"')
        self.on_mismatch: OnMismatch = on_mismatch
        self._label: Any = label
        self._template = parse_text(label) if isinstance(label, str) else None
        self._validate = validate
        self.is_async = inspect.iscoroutinefunction(function)
        check_pairing(self.name, function, context="AsyncCtx" if self.is_async else "Ctx", found=context)
        self.signature = Signature(self.name, function, skip=1)
        declared = declared_signals(self.name, signals)
        self.signals = {name: signal.payload for name, signal in declared.items()}
        """The types of the signals by the names they have now."""
        self._signal_names = {
            one: (*signal.was, name) for name, signal in declared.items() for one in (*signal.was, name)
        }
        self.events = declared_events(self.name, events)
        self.queue = check_queue(queue) if queue is not None else None
        self.limit = limit.check(self.name, parameters=self.signature.names) if limit is not None else None
        self.__name__ = self.name
        self.__doc__ = function.__doc__

    @property
    def first_name(self) -> str:
        """The oldest of its names. Limits, subscriptions and schedules are stored under it, so a rename changes none of
        them."""
        return (*self.was, self.name)[0]

    @property
    def kind(self) -> str:
        """The name its processes are started by."""
        return self.name

    def validate_start(self, payload: Any) -> None:
        """Raises `InvalidArguments` for a payload that it would not run, or that ``validate=`` refuses. It is
        called before anything is stored."""
        self.signature.bind_json(payload)
        self.check_start(payload)

    def check_start(self, payload: Any) -> None:
        """Checks ``validate=`` alone, for a payload that fits the parameters."""
        if self._validate is not None:
            self._asked("validate=", self._call_with, self._validate, payload)

    def identity(self, payload: Any) -> Identity:
        """The name of a process with this payload in lists; raises `SelectorMiss` if a field of the template is
        missing."""
        if self._label is None:
            return Identity(kind=self.name)
        made = (
            select(self._template, payload)
            if self._template
            else self._asked("label=", self._call_with, self._label, payload)
        )
        if not isinstance(made, str):
            raise BodyInvalid(name=self.name, reason=f"its label is a {type(made).__name__}; it has to be a text")
        return Identity(kind=self.name, label=made[:LONGEST_LABEL])

    def run(self, context: Any, payload: Any) -> Any:
        """Calls the body; an ``async def`` body returns what has to be awaited."""
        return self.signature.call(self.function, payload, context)()

    @property
    def is_plain(self) -> bool:
        """Whether its starts differ only in id and arguments."""
        return self._label is None and self.limit is None

    def _call_with(self, function: Callable[..., Any], payload: Any) -> Any:
        return self.signature.call(function, payload)()

    def _asked(self, what: str, code: Callable[..., Any], *given: Any) -> Any:
        try:
            return code(*given)
        except WakelineError:
            raise
        except Exception as error:
            raise InvalidArguments(
                name=self.name, reason=f"{what} says {str(error) or type(error).__name__}"
            ) from error

    @cached_property
    def event_types(self) -> tuple[EventType, ...]:
        """The event types that its processes declare at registration. Each signal to one of them asks for them, and a
        schema takes longer to make than to send."""
        types = (
            EventType(name=signal_event_type(n), payload_schema=schema_of(self.signals[names[-1]]))
            for n, names in self._signal_names.items()
        )
        return (*types, *event_types_of(self.events))

    @property
    def event_names(self) -> list[str]:
        """The names of `event_types`."""
        return [*map(signal_event_type, self._signal_names), *self.events]

    def event_type(self, name: str) -> EventType | None:
        """The member of `event_types` with this name."""
        return next((one for one in self.event_types if one.name == name), None) if name in self.event_names else None

    def names_of_signal(self, name: str) -> tuple[str, ...]:
        """All names of a signal, former and present, oldest first, given any of them; only the given name if it is not
        declared."""
        return self._signal_names.get(name, (name,))

    if not TYPE_CHECKING:  # for type checkers it cannot be called

        def __call__(self, *_: Any, **__: Any) -> NoReturn:
            """Raises `WrongVerb`: a plain call would run the function without a process."""
            body = current_body.get()
            use = f"app.start({self.name}, …)" if body is None else body.named(f"start({self.name}, …)")
            raise WrongVerb(verb=f"A plain call of the engine {self.name}", use=use, harm=NOT_DURABLE)

    def __repr__(self) -> str:
        return f"<Engine {self.name}{f' {self.version}' if self.version else ''}>"


def context_name(function: Callable[..., Any]) -> str:
    """The name of the annotation of a body's first parameter; '' if there is none."""
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters or parameters[0].annotation is inspect.Parameter.empty:
        return ""
    annotation = parameters[0].annotation
    # With a name of the module's own (``import AsyncCtx as C``) only its value tells. If it cannot be evaluated, its
    # text decides.
    with suppress(Exception):
        annotation = get_type_hints(function)[parameters[0].name]
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    return text.split("[")[0].rsplit(".", 1)[-1].strip("'\"")


def check_pairing(name: str, function: Callable[..., Any], *, context: str, found: str) -> None:
    """Raises `BodyInvalid` unless ``async def`` has the async context and ``def`` the blocking one. No type checker
    sees that, so it is checked at import."""
    if not found:
        raise BodyInvalid(name=name, reason=f"its first parameter must be the context; annotate it as {context}")
    if found != context:
        kind = "async def" if inspect.iscoroutinefunction(function) else "def"
        raise BodyInvalid(name=name, reason=f"it is `{kind}` but takes {found}; a `{kind}` body takes {context}")
