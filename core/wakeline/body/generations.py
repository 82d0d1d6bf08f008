"""The next generation of a process: how one ends, which version of its engine goes on, and with which arguments."""

from __future__ import annotations

from typing import Any, NoReturn

from wakeline.engines.engine import Engine
from wakeline.errors import BodyInvalid, InvalidArguments
from wakeline.run.fitting import being_handled
from wakeline.run.outcomes import ContinueAsNew
from wakeline.run.run import Run
from wakeline.shown import logger
from wakeline.values import MAX_PAYLOAD, check_size, to_json

log = logger("wakeline.run")


async def end_generation(run: Run, args: tuple[Any, ...], kwargs: dict[str, Any]) -> NoReturn:
    """Ends the run as one that the next generation follows. Raises `BodyInvalid`, `InvalidArguments`,
    `PayloadTooLarge`, else `ContinueAsNew`."""
    run.life.check(is_new=False)
    own = run.engine
    if own is None:
        raise BodyInvalid(
            name=run.registration.identity.kind,
            reason="only an engine can continue as new; a session goes on with its next turn",
        )
    await run.journal.check_sound(being_handled())
    async with run.journal.asking():
        engine, given = _next_generation(run, own, args, kwargs)
    check_size(f"the arguments of {engine.name}", to_json(given), MAX_PAYLOAD)
    raise ContinueAsNew(given, None if engine is own else engine.version or "")


def _next_generation(
    run: Run, own: Engine[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Engine[..., Any], dict[str, Any]]:
    """The engine that goes on, and its arguments: the version that is started now if it fits, else the running one.
    Raises `InvalidArguments`."""
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
