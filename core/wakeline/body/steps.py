"""A step: a function of the user's that runs once, and what it returned or raised.

Invariant: what is recorded never runs again, and a replay gives the value that a body was given before.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wakeline import arguments, typed
from wakeline.errors import BodyInvalid, ControlFlow, InvalidArguments, StepFailed, WakelineError
from wakeline.names import all_of, check_label
from wakeline.processes.failures import described
from wakeline.run.groups import deciding
from wakeline.run.run import Run
from wakeline.tools.tool import Tool


async def run_step(
    run: Run,
    name: str,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    *,
    was: Sequence[str] | str,
    key: str | None,
) -> Any:
    """What the function returned, now or in an earlier run. ``was`` are the former names of the step, oldest first.
    Raises `StepFailed` if the function raised."""
    async with run.journal.asking():
        # What a release before took goes on.
        if not isinstance(name, str) or name not in run.journal.names:  # pyright: ignore[reportUnnecessaryIsInstance]
            check_label(name, "step name")
        if not callable(function):  # pyright: ignore[reportUnnecessaryComparison]
            raise InvalidArguments(
                name=f"step {name}", reason=f"it runs the function that it is given, and {function!r} cannot be called"
            )
        if was != ():
            name = run.journal.known_as(name, all_of(was, f"step {name}"), ("",))
        given = typed.asked({"args": args, "kwargs": kwargs}, what=f"an argument of step {name}", strict=False)
    # A tool may be a step like any function; its own function says whether it is `async def`.
    invoked: Callable[..., Any] = function.function if isinstance(function, Tool) else function
    what, kind = f"The result of step {name}", arguments.result_kind(f"step {name}", invoked)

    async def perform(_: str) -> Any:
        try:
            made = await run.invoke(invoked, *args, **kwargs)
            if inspect.iscoroutine(made):
                made.close()
                reason = (
                    "its function gives a coroutine that nothing awaits; pass the async function itself:"
                    f" ctx.step({name!r}, function, …)"
                )
                raise BodyInvalid(name=f"step {name}", reason=reason)
        except Exception as raised:
            error = deciding(raised)
            try:
                if isinstance(error, WakelineError | ControlFlow):
                    raise error from error.__cause__
                # Recorded like a result, because a body that handles it must get it again in a replay.
                code, message = described(error)
                raise StepFailed(step=name, failure_code=code, failure_message=message) from error
            finally:
                del error  # it holds this frame
        return typed.dump(made, kind, what)

    made = await run.journal.effect("step", name, given, perform, key=key)
    with run.journal.reading():
        return typed.load(made, kind, what)
