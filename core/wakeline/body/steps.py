"""A step: a function of the user's that runs once, and what it returned or raised.

Invariant: what is recorded never runs again, and a replay gives the value that a body was given before.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wakeline import arguments, typed
from wakeline.errors import BodyInvalid, ControlFlow, StepFailed, WakelineError
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
    name = run.journal.known_as(name, (was,) if isinstance(was, str) else was, ("",))
    async with run.journal.asking():
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
