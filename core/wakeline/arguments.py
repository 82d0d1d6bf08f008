"""A function's signature as the schema of its calls, and what may be declared as a body.

Invariant: stored values are JSON, and a body sees values of its annotated types.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial, partialmethod
from typing import Any, cast, get_type_hints
from weakref import WeakKeyDictionary

from pydantic import ValidationError

from wakeline.errors import BodyInvalid, InvalidArguments, InvalidPayload
from wakeline.faithful import Lost, joined
from wakeline.typed import Json, adapter, check_kind, checked, describe, dump, lasts, load, schema_of, validated
from wakeline.values import bare

CONTEXTS = {"Ctx", "AsyncCtx", "Turn", "AsyncTurn"}


class Signature:
    """The parameters of a body after its context, and its result."""

    def __init__(self, name: str, function: Callable[..., Any], *, skip: int = 0) -> None:
        self.name = name
        signature = inspect.signature(function)
        parameters = list(signature.parameters.values())[skip:]
        if any(p.kind is p.VAR_POSITIONAL for p in parameters):
            raise BodyInvalid(
                name=name, reason="it takes *args; give every argument a name, so that a stored call stays readable"
            )
        hints = _hints(name, function)
        self._signature = signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty)
        self._kinds = {p.name: hints.get(p.name, Any) for p in parameters if p.kind is not p.VAR_KEYWORD}
        self._extra = next((hints.get(p.name, Any) for p in parameters if p.kind is p.VAR_KEYWORD), None)
        self._positional_only = [p.name for p in parameters if p.kind is p.POSITIONAL_ONLY]
        self._required = frozenset(p.name for p in parameters if p.kind is not p.VAR_KEYWORD and p.default is p.empty)
        self._by_name = frozenset(self._kinds) - {*self._positional_only}
        self._by_position = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        returned = hints.get("return", Any)
        self.result = Any if returned is inspect.Signature.empty else returned
        for kind in [*self._kinds.values(), self.result]:
            check_kind(name, kind)
        self._adapters = [adapter(kind) for kind in [*self._kinds.values(), self._extra, self.result]]
        """Kept with the body, because each of its calls needs them."""

    def bind(self, *args: Any, **kwargs: Any) -> dict[str, Json]:
        """The arguments of one call as a JSON object by name; raises `InvalidArguments`."""
        plainly = self._bound(args, kwargs)
        if plainly is not None:
            return self._through_json(plainly)
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise InvalidArguments(name=self.name, reason=str(error)) from error
        values: dict[str, Any] = {}
        for name, value in bound.arguments.items():
            if name in self._kinds:
                values[name] = value
            else:
                values.update(value)
        return self._through_json(values)

    def _bound(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any] | None:
        """The arguments by name, in the order of the parameters, where it is plain which is which, as it mostly is.
        `inspect` takes 3 to 7 µs longer to say the same; it knows the error if there is one."""
        if len(args) > len(self._by_position) or not kwargs.keys() <= self._by_name:
            return None
        given = dict(zip(self._by_position, args, strict=False))
        if not given.keys().isdisjoint(kwargs):
            return None
        given |= kwargs
        if not self._required <= given.keys():
            return None
        return {name: given[name] for name in self._kinds if name in given} if kwargs else given

    def bind_json(self, data: Json) -> dict[str, Json]:
        """Arguments given as JSON (command line, HTTP): an object by name, or a list by position; raises
        `InvalidArguments`."""
        if isinstance(data, list):
            return self.bind(*data)
        if not isinstance(data, dict):
            raise InvalidArguments(name=self.name, reason="give a JSON object of named arguments, or a JSON list")
        given = cast("dict[str, Json]", data)
        try:
            self._signature.bind(
                *[given[n] for n in self._positional_only if n in given],
                **{k: v for k, v in given.items() if k not in self._positional_only},
            )
        except TypeError as error:
            raise InvalidArguments(name=self.name, reason=str(error)) from error
        return self._through_json(given)

    def _through_json(self, values: dict[str, Any]) -> dict[str, Json]:
        out: dict[str, Json] = {}
        for name, value in values.items():
            kind = self._kinds.get(name, self._extra)
            try:
                out[name] = checked(value if kind is Any else validated(value, kind), kind, name, strict=True)
            except Lost as lost:
                raise InvalidArguments(name=self.name, reason=f"{joined(name, lost.path)}: {lost.why}") from lost
            except ValidationError as error:
                raise InvalidArguments(name=self.name, reason=f"{name}: {describe(error)}") from error
            except InvalidPayload as error:
                raise InvalidArguments(name=self.name, reason=f"{name}: {error.reason}") from error
        return out

    def taken(self, stored: dict[str, Json]) -> Callable[..., Callable[[], Any]]:
        """A stored argument object in the form that this code takes. The result makes a call of a function, and of the
        arguments ahead (the context).

        Raises `InvalidArguments` for an argument that is missing or not taken, and `InvalidPayload` for one of a wrong
        type.
        """
        if not self._required <= stored.keys() or (self._extra is None and not stored.keys() <= self._kinds.keys()):
            positional = [stored[name] for name in self._positional_only if name in stored]
            try:
                self._signature.bind(
                    *positional, **{name: value for name, value in stored.items() if name not in self._positional_only}
                )
            except TypeError as error:
                raise InvalidArguments(name=self.name, reason=str(error)) from error
        values = {
            name: load(bare(value), self._kinds.get(name, self._extra), f"argument {name} of {self.name}")
            for name, value in stored.items()
        }
        positional = [values.pop(name) for name in self._positional_only if name in values]

        def called(function: Callable[..., Any], *before: Any) -> Callable[[], Any]:
            return lambda: function(*before, *positional, **values)

        return called

    def call(self, function: Callable[..., Any], stored: dict[str, Json], *before: Any) -> Callable[[], Any]:
        """The call with a stored argument object, ready to run; ``before`` are the arguments ahead of it (the context).
        Raises as `taken`."""
        return self.taken(stored)(function, *before)

    def dump_result(self, value: Any) -> Json:
        """A result as JSON data; raises `InvalidPayload` naming the body."""
        return dump(value, self.result, f"The result of {self.name}")

    def load_result(self, data: Json) -> Any:
        """A stored result as a value of the annotated type."""
        return load(data, self.result, f"The result of {self.name}")

    @property
    def names(self) -> list[str] | None:
        """The names that its arguments may have; None with ``**extra``, which takes any name."""
        return None if self._extra is not None else list(self._kinds)

    @property
    def parameters(self) -> dict[str, bool]:
        """The parameters by name, in order, and whether each is required; without ``**extra``."""
        return {n: p.default is p.empty for n, p in self._signature.parameters.items() if n in self._kinds}

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the argument object."""
        required = [name for name, needed in self.parameters.items() if needed]
        return {"type": "object", "properties": {n: schema_of(k) for n, k in self._kinds.items()}, "required": required}


def result_kind(name: str, function: Callable[..., Any]) -> Any:
    """The declared return type of a function; Any if it declares none (builtins, partials). Raises `BodyInvalid` for a
    type that is not JSON."""
    if not getattr(function, "__annotations__", None):
        return Any  # most steps: a lambda, a builtin
    with suppress(KeyError, TypeError):  # a callable that cannot be hashed
        return _result_kinds[function]
    try:
        kind = _hints(name, function).get("return", Any)
    except TypeError:
        return Any
    check_kind(name, kind)
    with suppress(TypeError):
        if lasts(kind):
            _result_kinds[function] = kind
    return kind


_result_kinds: WeakKeyDictionary[Callable[..., Any], Any] = WeakKeyDictionary()
"""The return types of functions. A step asks at every call, and reading annotations costs more than its bookkeeping. An
entry lives only as long as its function, because a closure holds a whole run."""


def own_name(what: str, function: Any, name: str | None = None) -> str:
    """The name of a declared body: the given one, or the function's. Raises `BodyInvalid` for anything but a function
    of a module."""
    shown = name or str(getattr(function, "__name__", type(function).__name__))
    for reason in _no_function(what, function, named=name is not None):
        raise BodyInvalid(name=shown, reason=reason)
    return name if name is not None else str(function.__name__)


def _no_function(what: str, function: Any, *, named: bool) -> Iterator[str]:
    instead = f"declare a function of a module, `@app.{what}` above `def name(…)`, that calls it"
    if isinstance(function, partial | partialmethod):
        yield f"it is a functools.partial, which has no name and no annotations of its own; {instead}"
    elif isinstance(function, classmethod | staticmethod | property):
        yield f"it is a {type(cast('Any', function)).__name__}, and a worker has no class to call it on; {instead}"
    elif isinstance(function, type):
        yield f"it is a class; {instead}"
    elif not callable(function) or not hasattr(function, "__name__"):
        yield f"it is an object ({type(function).__name__}); {instead}"
    elif function.__name__ == "<lambda>" and not named:
        yield (
            f"it is a lambda, which has no name to be stored under; write it as a `def`, or give name= to `@app.{what}`"
        )
    elif not inspect.ismethod(function) and next(iter(_parameters(function)), "") in ("self", "cls"):
        yield f"it is a method, and a worker has no object to call it on; {instead}"


def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except ValueError:
        return {}  # a function that is not written in Python


def check_body(name: str, function: Callable[..., Any]) -> None:
    """Raises `BodyInvalid` for a function with ``yield``, because nothing would run what it yields."""
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise BodyInvalid(
            name=name, reason="it yields; a body returns its result, and emits what it has to say before that"
        )


def check_no_context(name: str, function: Callable[..., Any]) -> None:
    """Raises `BodyInvalid` for a tool with a context parameter, because only engines and agents get a context."""
    for parameter in inspect.signature(function).parameters.values():
        annotation: Any = parameter.annotation
        text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
        bare_context = annotation is inspect.Parameter.empty and parameter.name == "ctx"
        if text.split("[")[0].rsplit(".", 1)[-1] in CONTEXTS or bare_context:
            reason = (
                f"its parameter {parameter.name} is a context, and a tool has none; leave it out and use current(), or"
                " declare it with @app.engine"
            )
            raise BodyInvalid(name=name, reason=reason)


def by_name(owner: str, what: str, given: Any) -> Mapping[str, Any]:
    """A declaration by name; empty for None. Raises `BodyInvalid` for a list or anything else without names."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise BodyInvalid(
            name=owner,
            reason=(
                f'its {what}= is a {type(given).__name__}; write a dict of name to type, such as {what}={{"decision":'
                " bool}"
            ),
        )
    return cast("Mapping[str, Any]", given)


def _hints(name: str, function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except NameError as error:
        raise BodyInvalid(
            name=name, reason=f"an annotation cannot be resolved ({error}); import it at module level"
        ) from error
