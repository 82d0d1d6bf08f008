"""A function's signature as the schema of its calls: arguments and results to JSON and back, through cached pydantic
adapters.

Invariant: what is stored is JSON; what a body sees is what its annotations say.
"""

from __future__ import annotations

import inspect
import io
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial, partialmethod
from typing import IO, Any, Literal, cast, get_args, get_origin, get_type_hints
from weakref import WeakKeyDictionary, WeakValueDictionary

from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from wakeline.errors import BodyInvalid, InvalidArguments, InvalidPayload
from wakeline.faithful import ANYTHING, REMEDY, Lost, Nature, check_kept, difference, joined, nature_of, settled
from wakeline.values import NON_FINITE, NOT_PLAIN, bare, is_marked, plain, to_json, unusable

Json = Any


MOST_ADAPTERS = 1024
_lasting: dict[Any, TypeAdapter[Any]] = {}
"""Adapters of types that modules have by name: they live as long as the code does."""
_passing: WeakValueDictionary[Any, TypeAdapter[Any]] = WeakValueDictionary()
"""Of types that a function made: such a type holds what the function had in hand, so its adapter is kept by who uses
it, and by nothing else."""


def adapter(kind: Any) -> TypeAdapter[Any]:
    """The adapter of a type; unhashable types get a new one each time."""
    try:
        known = _lasting.get(kind) or _passing.get(kind)
    except TypeError:
        return TypeAdapter(kind)
    if known is not None:
        return known
    made = TypeAdapter(kind)
    kept = _lasting if len(_lasting) < MOST_ADAPTERS and _lasts(kind) else _passing
    kept[kind] = made
    return made


def _lasts(kind: Any) -> bool:
    """Whether a type, with all that it is made of, is one that modules have by name."""
    if isinstance(kind, type):
        found: Any = sys.modules.get(kind.__module__)
        for name in kind.__qualname__.split("."):
            found = getattr(found, name, None)
        return found is kind
    if get_origin(kind) is Literal or kind is None or kind is Any:
        return True
    parts = get_args(kind)
    return bool(parts) and all(part is ... or _lasts(part) for part in parts)


def dump(value: Any, kind: Any = Any, what: str = "The value") -> Json:
    """A value as JSON data that can be stored and read back; raises `InvalidPayload` for what JSON cannot hold, or does
    not give back as it was."""
    data = asked(value, kind, what)
    return data if data is value or not is_marked(data) else bare(data)


def asked(value: Any, kind: Any = Any, what: str = "The value", *, strict: bool = True) -> Json:
    """`dump` for what a repetition is compared with: sets, numbers and moments are marked in it (`Unordered`, `Exact`).

    Not ``strict``: only its identity counts, the value itself is what the code gets.
    """
    try:
        return _checked(value, kind, what, strict)
    except Lost as lost:
        raise InvalidPayload(what=what, reason=f"at {lost.path}, {lost.why}" if lost.path else lost.why) from lost


def _checked(value: Any, kind: Any, what: str, strict: bool) -> Json:
    if kind is Any or kind is type(value) or (value is None and kind is None):
        copy = plain(value)
        if copy is not NOT_PLAIN:
            return copy
    check_kept(value)
    nature = _nature(kind)
    try:
        return _read_back(value, _form(value, kind, what), kind, nature, strict)
    except Lost as lost:
        # What has another form to be read from (computed fields, Json) is stored in that one; all else keeps the one it
        # always had.
        other = _form(value, kind, what, round_trip=True) if kind is not Any and nature.compares else None
        if other is None or other == _form(value, kind, what):
            raise
        try:
            return _read_back(value, other, kind, nature, strict)
        except Lost:
            raise lost from None


def _form(value: Any, kind: Any, what: str, *, round_trip: bool = False) -> Json:
    try:
        data = adapter(kind).dump_python(
            value, mode="json", warnings="error" if kind is not Any else "none", round_trip=round_trip
        )
        # Records put a payload into objects of their own (event, record, message of a session), which have to be
        # readable too: 16 levels are kept free.
        text = to_json([[[[[[[[[[[[[[[[data]]]]]]]]]]]]]]]], what)
        # pydantic writes null for NaN and Infinity, without a word.
        if "null" in text and not _finite(adapter(kind).dump_python(value, warnings="none")):
            raise InvalidPayload(what=what, reason=NON_FINITE)
    except (PydanticSerializationError, ValueError, RecursionError) as error:
        raise unusable(what, error) from error
    return data


def _read_back(value: Any, data: Json, kind: Any, nature: Nature, strict: bool) -> Json:
    """The data of a value, settled; raises `Lost` where what is read back is not the value."""
    if nature.settles:
        data = settled(value, data, loose=_own_form if nature.bare and strict else None, strict=strict)
    if kind is Any:
        return data
    try:
        found = _loaded(data, kind)
    except ValidationError as error:
        if value is None:
            raise Lost("", f"it is None, and {kind!r} is declared; give a value, or declare it as optional") from error
        first = error.errors(include_url=False)[0]
        raise Lost(".".join(map(str, first["loc"])), f"{first['msg']} when it is read back; {REMEDY}") from error
    if nature.compares and (path := difference(value, found, loose=nature.loose)) is not None:
        raise Lost(path, REMEDY)
    return data


def _own_form(value: Any, data: Json, path: str) -> Json:
    """The data of an object whose type nothing says but the object itself."""
    try:
        nature = _nature(type(value))
    except (PydanticUserError, NameError):
        return data
    if not nature.settles:
        return data
    try:
        return _checked(value, type(value), path, strict=True)
    except Lost as lost:
        raise Lost(joined(path, lost.path), lost.why) from lost


_natures: WeakKeyDictionary[TypeAdapter[Any], Nature] = WeakKeyDictionary()


def _nature(kind: Any) -> Nature:
    if kind is Any:
        return ANYTHING
    made = adapter(kind)
    known = _natures.get(made)
    if known is None:
        known = _natures[made] = nature_of(made.core_schema)
    return known


def outside(value: Any, data: Json) -> Json | None:
    """The data of a value with its fields under the names that outsiders know them by (aliases), as schemas do; None
    where that is the same."""
    if plain(value) is not NOT_PLAIN:
        return None
    other = settled(
        value, adapter(Any).dump_python(value, mode="json", warnings="none", by_alias=True, round_trip=True)
    )
    return None if other == data else other


def _finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(_finite(item) for pair in value.items() for item in pair)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, (list, tuple, set, frozenset)):
        return all(_finite(item) for item in cast("list[Any]", value))
    return True


def load(data: Json, kind: Any, what: str = "The value") -> Any:
    """JSON data as a value of the type; raises `InvalidPayload`."""
    if kind is Any:
        return data
    try:
        return _loaded(data, kind)
    except ValidationError as error:
        raise InvalidPayload(what=what, reason=describe(error)) from error


def fit(value: Any, kind: Any, what: str = "The value") -> Any:
    """A value as one of the type, as a call of a typed function would take it; raises `InvalidPayload`."""
    try:
        return value if kind is Any else _validated(value, kind)
    except ValidationError as error:
        raise InvalidPayload(what=what, reason=describe(error)) from error


def _loaded(data: Json, kind: Any) -> Any:
    if _nature(kind).as_json:
        return adapter(kind).validate_json(to_json(data), by_alias=True, by_name=True)
    return _validated(data, kind)


def _validated(value: Any, kind: Any) -> Any:
    # Fields are stored under their own names, whatever they are called outside.
    return adapter(kind).validate_python(value, by_alias=True, by_name=True)


def schema_of(kind: Any) -> dict[str, Any]:
    """The JSON Schema of a type; `{}` (anything) where it has none."""
    if kind is Any:
        return {}
    try:
        return adapter(kind).json_schema()
    except Exception:  # noqa: BLE001 - pydantic raises several kinds for types without a schema; no schema is a fine answer
        return {}


def describe(error: ValidationError) -> str:
    """A validation error in one line: where, and what is wrong."""
    parts = [
        f"{'.'.join(str(p) for p in e['loc']) or 'value'}: {e['msg']}" for e in error.errors(include_url=False)[:5]
    ]
    return "; ".join(parts)


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
        returned = hints.get("return", Any)
        self.result = Any if returned is inspect.Signature.empty else returned
        for kind in [*self._kinds.values(), self.result]:
            check_kind(name, kind)
        self._adapters = [adapter(kind) for kind in [*self._kinds.values(), self._extra, self.result]]
        """Kept with the body: they are found again at each of its calls."""

    def bind(self, *args: Any, **kwargs: Any) -> dict[str, Json]:
        """The arguments of one call as a JSON object by name; raises `InvalidArguments`."""
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

    def bind_json(self, data: Json) -> dict[str, Json]:
        """Arguments that come as JSON (command line, HTTP): an object by name, or a list by position."""
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
                out[name] = _checked(value if kind is Any else _validated(value, kind), kind, name, strict=True)
            except Lost as lost:
                raise InvalidArguments(name=self.name, reason=f"{joined(name, lost.path)}: {lost.why}") from lost
            except ValidationError as error:
                raise InvalidArguments(name=self.name, reason=f"{name}: {describe(error)}") from error
            except InvalidPayload as error:
                raise InvalidArguments(name=self.name, reason=f"{name}: {error.reason}") from error
        return out

    def taken(self, stored: dict[str, Json]) -> Callable[..., Callable[[], Any]]:
        """A stored argument object as this code takes it: of a function, and of the arguments ahead of it (the
        context), the call that it means.

        Raises `InvalidArguments` for an argument that is missing or not taken, `InvalidPayload` for one that is not of
        its type.
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
        """The call a stored argument object means, ready to run; ``before`` are the arguments ahead of it (the
        context). Raises as `taken`."""
        return self.taken(stored)(function, *before)

    def dump_result(self, value: Any) -> Json:
        """A result as JSON data; raises `InvalidPayload` naming the body."""
        return dump(value, self.result, f"The result of {self.name}")

    def load_result(self, data: Json) -> Any:
        """A stored result as the annotation's type."""
        return load(data, self.result, f"The result of {self.name}")

    @property
    def names(self) -> list[str] | None:
        """The names its arguments may have; None with ``**extra``, where any will do."""
        return None if self._extra is not None else list(self._kinds)

    @property
    def parameters(self) -> dict[str, bool]:
        """The parameters by name, in order, and whether each has to be given; not ``**extra``."""
        return {n: p.default is p.empty for n, p in self._signature.parameters.items() if n in self._kinds}

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the argument object."""
        required = [name for name, needed in self.parameters.items() if needed]
        return {"type": "object", "properties": {n: schema_of(k) for n, k in self._kinds.items()}, "required": required}


def result_kind(name: str, function: Callable[..., Any]) -> Any:
    """The type a function says it returns, Any where it says none (builtins, partials); raises `BodyInvalid` for one
    that is not JSON."""
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
        if _lasts(kind):
            _result_kinds[function] = kind
    return kind


_result_kinds: WeakKeyDictionary[Callable[..., Any], Any] = WeakKeyDictionary()
"""A step asks at every call, and reading annotations costs more than its bookkeeping. By the function and no longer
than it: a closure holds a whole run."""


def check_kind(name: str, kind: Any) -> None:
    """Raises `BodyInvalid` for a type that is not JSON, or that pydantic refuses for a reason of its own."""
    if isinstance(kind, str):
        raise BodyInvalid(name=name, reason=f"{kind!r} is a text; give the type itself, not its name")
    try:
        adapter(kind)
    except PydanticUserError as refused:
        if isinstance(kind, type) and issubclass(kind, io.IOBase | IO):
            raise BodyInvalid(
                name=name, reason=f"{kind!r} is an open file, which cannot be stored; put its bytes into an attachment"
            ) from refused
        if not isinstance(refused, PydanticSchemaGenerationError):
            raise BodyInvalid(name=name, reason=f"{kind!r} cannot be used: {refused.message.rstrip('.')}") from refused
        raise BodyInvalid(
            name=name, reason=f"{kind!r} cannot be stored as JSON; use a pydantic model, a dataclass or a plain type"
        ) from refused


def own_name(what: str, function: Any, name: str | None = None) -> str:
    """The name of what is declared as a body: the given one, or the function's. Raises `BodyInvalid` for what is no
    function of a module."""
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
    """Raises `BodyInvalid` for a function with ``yield``: nobody would run what it yields."""
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise BodyInvalid(
            name=name, reason="it yields; a body returns its result, and emits what it has to say before that"
        )


def check_no_context(name: str, function: Callable[..., Any]) -> None:
    """Raises `BodyInvalid` for a tool that asks for a context: only engines and agents are given one."""
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
    """What a declaration says by name, none for None; raises `BodyInvalid` for a list or anything else that has no
    names with types."""
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
