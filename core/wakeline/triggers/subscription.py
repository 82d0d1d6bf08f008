"""A subscription: which occurrences of a source start which body, with which input, and for which session.

Invariant: it holds all that a start needs except the code, so any worker with the code can deliver to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast

from pydantic import Field

from wakeline.causality import HostOriginator, Originator, SessionScope
from wakeline.errors import InvalidArguments, SelectorMiss
from wakeline.names import check_key, check_name, check_source
from wakeline.processes.selectors import ConstSelector, PayloadSelector, PointerSelector, Selector, parse_text, select
from wakeline.typed import dump
from wakeline.values import Json, Stored, content_hash

MOST_SUBSCRIPTIONS = 256
"""How many subscriptions one source may have, because one script reserves the deliveries of an occurrence."""
WHOLE = "{}"


class Target(Stored):
    """What a subscription starts: the name of an engine or a tool."""

    kind: Literal["engine", "tool"]
    name: str


class Subscription(Stored):
    """What one occurrence starts. With ``source_key`` None it takes every occurrence of the source. With ``input`` None
    the payload is the input."""

    source: str
    name: str
    target: Target
    originator: Originator = Field(default_factory=HostOriginator)
    source_key: str | None = None
    input: dict[str, Selector] | None = None
    environment: dict[str, Any] | None = None
    wake_target: SessionScope | None = None
    wake_queue: str | None = None
    """The queue of the session's turns, if the first start creates the session."""
    queue: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)

    @property
    def id(self) -> str:
        """Its id: name, owner and source make a subscription."""
        owner = self.originator.model_dump_json() if self.owner else ""
        return f"sub:{content_hash(owner, self.source, self.name)[:24]}"

    @property
    def owner(self) -> str | None:
        """The session that it belongs to and is removed with; None for a subscription of the host."""
        return None if isinstance(self.originator, HostOriginator) else self.originator.scope.session_id

    @property
    def content_hash(self) -> str:
        """The hash of what makes a new revision when it changes."""
        return content_hash(self.model_dump_json(exclude_defaults=True))[:16]


def check_subscription(subscription: Subscription) -> Subscription:
    """The subscription, its names checked; raises `InvalidId`."""
    check_source(subscription.source)
    check_name(subscription.name, "subscription name")
    if subscription.source_key is not None:
        check_key(subscription.source_key, "source key")
    return subscription


def parse_input(given: Mapping[str, Any] | Any) -> dict[str, Selector] | None:
    """An input template as people write it, by parameter. ``"{}"`` is the whole payload, and ``"{user.id}"`` its value
    at that path. A text may have ``{field}`` holes. Any other value is a constant."""
    if given is None:
        return None
    if not isinstance(given, Mapping):
        reason = (
            f'it is a {type(given).__name__}; write a dict of parameter to value, such as {{"order": "{{order.id}}"}}'
        )
        raise InvalidArguments(name="input=", reason=reason)
    return {name: _parse(value) for name, value in cast("Mapping[str, Any]", given).items()}


def _parse(value: Any) -> Selector:
    if not isinstance(value, str):
        return ConstSelector(value=dump(value, what="A value of input="))
    if value == WHOLE:
        return PayloadSelector()
    path = value[1:-1]
    if value.startswith("{") and value.endswith("}") and path and not set(path) & set("{} "):
        return PointerSelector(pointer="/" + path.replace("~", "~0").replace("/", "~1").replace(".", "/"))
    return parse_text(value)


def arguments_of(subscription: Subscription, parameters: Mapping[str, bool], payload: Json) -> dict[str, Any]:
    """The arguments that an occurrence gives to a body with these parameters (True: required).

    Without a template they are the payload's fields by name, if it has all required ones. If not, the payload is the
    one argument. Raises `InvalidArguments`.
    """
    if subscription.input is None:
        fields = cast("dict[str, Any]", payload) if isinstance(payload, dict) else {}
        if all(name in fields for name, needed in parameters.items() if needed) and (fields or not parameters):
            return {name: fields[name] for name in parameters if name in fields}
        if len(parameters) == 1:
            return dict.fromkeys(parameters, payload)
        raise InvalidArguments(
            name=subscription.target.name,
            reason=f"the payload lacks some of {', '.join(parameters)}; give them in input=",
        )
    try:
        return {name: select(selector, payload) for name, selector in subscription.input.items()}
    except SelectorMiss as missing:
        raise InvalidArguments(
            name=subscription.target.name, reason=f"the payload has nothing at {missing.fields['pointer']}"
        ) from missing
