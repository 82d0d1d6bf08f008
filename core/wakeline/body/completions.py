"""A call that something outside completes: the wait for it, and what its answer means.

Invariant: an answer is checked by the tool's result type, and the hooks see it, like a result of the tool's own code.
"""

from __future__ import annotations

from typing import Any, assert_never, cast

from wakeline.body.hooks import HookedCall, run_after
from wakeline.errors import InvalidPayload
from wakeline.processes.outputs import CancelledOutput, Failure, Success, from_data, to_data
from wakeline.run.run import Run
from wakeline.run.waits import WaitFor, schema_of_answer
from wakeline.tools.outcome import ToolOutcome, value_of
from wakeline.tools.tool import Tool
from wakeline.waits.identity import ToolCompletion
from wakeline.waits.kinds import WaitKind
from wakeline.waits.resolutions import Cancelled, Err, Ok, Resolution, TimedOut


async def completion(
    run: Run, tool: Tool[..., Any], hooked: HookedCall, base: str, call_key: str, pending: dict[str, Any]
) -> Any:
    """The result with which another party completed the call. The tool's result type checks it, and hooks see it, like
    a result of the tool."""
    known = run.journal.known_as(tool.name, tool.was)
    # An answer of another type is refused where it is given, and the token stays good.
    schema = schema_of_answer(tool.signature.result)
    target = WaitFor(
        ToolCompletion(call_key), WaitKind.COMPLETION.of(known), for_ms=pending["timeout_ms"], schema=schema
    )
    [resolution] = await run.waits.for_all(
        [run.waits.call("wait", f"completion:{known}", None, target, key=f"{base}~completion")]
    )
    outcome = _completed(run, tool, resolution)
    if pending.get("hooked"):

        async def perform(_: str) -> Any:
            changed = await run_after(run, tool.name, hooked, outcome)
            if isinstance(changed, Success) and changed is not outcome:
                changed = Success(tool.signature.dump_result(changed.value))
            return to_data(changed)

        outcome = cast(
            "ToolOutcome",
            from_data(await run.journal.effect("after", f"after:{known}", None, perform, key=f"{base}~after")),
        )
    return value_of(tool.name, outcome)


def _completed(run: Run, tool: Tool[..., Any], resolution: Resolution) -> ToolOutcome:
    match resolution:
        case Ok(value):
            try:
                with run.journal.reading():
                    return Success(tool.signature.dump_result(tool.signature.load_result(value)))
            except InvalidPayload as broken:
                return Failure(
                    "external",
                    "invalid_tool_output",
                    f"what completed the call is no result of it: {broken.fields['reason']}",
                    value,
                )
        case Err(code, message, raw):
            return Failure("external", code, message, raw)
        case TimedOut():
            return Failure("timeout", "tool_completion_timeout", "the call was not completed in time")
        case Cancelled():
            return CancelledOutput("the pending call was cancelled")
        case _:
            assert_never(resolution)
