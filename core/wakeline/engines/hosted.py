"""An engine made of an object that implements `EngineProtocol`: it gets its payload as it is.

Invariant: the rest of Wakeline sees an `Engine` like any other.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from wakeline.arguments import Signature
from wakeline.engines.engine import Engine
from wakeline.engines.protocol import EngineProtocol
from wakeline.errors import BodyInvalid
from wakeline.processes.inputs import Identity
from wakeline.typed import asked


class PayloadSignature(Signature):
    """One argument, any JSON, which only the object interprets."""

    def __init__(self, name: str) -> None:
        super().__init__(name, _payload)

    def bind(self, *args: Any, **kwargs: Any) -> Any:
        """The payload of one start; raises `InvalidArguments`."""
        return super().bind(*args, **kwargs).get("payload")

    def bind_json(self, data: Any) -> Any:
        """A payload that comes as JSON."""
        return asked(data, what=f"the payload of {self.name}")

    def taken(self, stored: Any) -> Callable[..., Callable[[], Any]]:
        """A stored payload, given to the object as it is."""
        return partial(_with_payload, stored)


def _with_payload(stored: Any, function: Callable[..., Any], *before: Any) -> Callable[[], Any]:
    return partial(function, *before, stored)


def _payload(payload: Any = None) -> Any:
    raise AssertionError(payload)


class HostedEngine(Engine[..., Any]):
    """What `App.add_engine` makes of an object."""

    def __init__(self, hosted: EngineProtocol) -> None:
        for name in ("kind", "validate_start", "identity", "run"):
            if not hasattr(hosted, name):
                raise BodyInvalid(name=type(hosted).__name__, reason=f"it has no {name}, which every engine has")
        self._hosted = hosted
        given: dict[str, Any] = {
            name: getattr(hosted, name, None) for name in ("version", "queue", "signals", "events")
        }
        given["on_mismatch"] = getattr(hosted, "on_mismatch", "wait")
        context = "AsyncCtx" if inspect.iscoroutinefunction(hosted.run) else "Ctx"
        super().__init__(
            hosted.run, name=hosted.kind, context=context, default=getattr(hosted, "default", False), **given
        )
        self.source = hosted
        self.signature = PayloadSignature(self.name)

    def check_start(self, payload: Any) -> None:
        """Raises what the object raises; an error that is no `WakelineError` becomes `InvalidArguments`."""
        self._asked("validate_start", self._hosted.validate_start, payload)

    def identity(self, payload: Any) -> Identity:
        """The identity that the object gives a process with this payload."""
        made = self._asked("identity", self._hosted.identity, payload)
        if not isinstance(made, Identity):
            raise BodyInvalid(
                name=self.name, reason=f"its identity() gives a {type(made).__name__}; it has to give an Identity"
            )
        return made
