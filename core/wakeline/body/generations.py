"""The next generation of a process: which version of its engine goes on, and with which arguments."""

from __future__ import annotations

from typing import Any

from wakeline.engines.engine import Engine
from wakeline.errors import InvalidArguments
from wakeline.run.run import Run
from wakeline.shown import logger

log = logger("wakeline.run")


def next_generation(
    run: Run, own: Engine[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Engine[..., Any], dict[str, Any]]:
    """The engine that goes on, and its arguments: the version that is started now where it fits, else the one that
    runs. Raises `InvalidArguments`."""
    newest = run.registry.engines.get(own.name, own)
    declared = run.registration.event_types
    if (
        newest is not own
        and bool(newest.signals) == run.registration.strict_signals
        and all(one in declared for one in newest.event_types)
    ):
        try:
            given = newest.signature.bind(*args, **kwargs)
            newest.check_start(given)
            return newest, given
        except InvalidArguments as misfit:
            log.info("%s stays with its engine: %s", run.registration.id, misfit)
    given = own.signature.bind(*args, **kwargs)
    own.check_start(given)
    return own, given
