"""Before and after a tool's code: hooks, and what its ``prepare`` makes of the arguments.

Invariant: they run once per call and are recorded, so that a replay, a retry or another worker has the same. A call
without hooks and without ``prepare`` records nothing here.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from wakeline.errors import InvalidPayload, ToolFailed
from wakeline.processes.failures import described
from wakeline.processes.inputs import PreparedCall
from wakeline.processes.outputs import Success, from_data, to_data
from wakeline.run.run import Run
from wakeline.tools.hooks import ToolRequest
from wakeline.tools.outcome import ToolOutcome, is_outcome
from wakeline.tools.tool import Tool
from wakeline.verbs.registrations import prepared


@dataclass(frozen=True, slots=True)
class HookedCall:
    """A call as the hooks left it: its arguments and the prepared value, or the outcome that a hook gave instead."""

    args: dict[str, Any]
    prepared: Any = None
    outcome: ToolOutcome | None = None

    def request(self, tool: str, run: Run) -> ToolRequest:
        """The call as a hook sees it."""
        return ToolRequest(tool, deepcopy(self.args), run.process_id)


async def through_hooks(
    run: Run, tool: Tool[..., Any], given: dict[str, Any], base: str, started: PreparedCall | None
) -> HookedCall:
    """The call after the hooks. Raises `ToolFailed` (before_tool_call_failed, tool_prepare_failed,
    invalid_tool_args).

    It is recorded before the tool's code runs. A call that a release without hooks recorded goes on without them. A
    call that went through hooks keeps their result in a release without hooks.
    """
    key, recorded = f"{base}~admit", run.journal.rows
    ready = started.prepared if started is not None else None
    wanted = bool(run.hooks.before) or (tool.prepare is not None and started is None)
    if key not in recorded and (base in recorded or not wanted):
        return HookedCall(given, ready)

    async def perform(_: str) -> Any:
        hooked = await _before(run, tool, given)
        if hooked.outcome is not None:
            return {"outcome": to_data(hooked.outcome)}
        made = ready if started is not None and hooked.args == given else prepared(tool, hooked.args)
        return {"args": hooked.args, "prepared": made}

    found = await run.journal.effect(
        "admit", f"admit:{run.journal.known_as(tool.name, tool.was)}", given, perform, key=key
    )
    if "outcome" in found:
        # pyright: ignore[reportArgumentType]
        return HookedCall(given, None, from_data(found["outcome"]))  # type: ignore[arg-type]
    return HookedCall(found["args"], found["prepared"])


async def _before(run: Run, tool: Tool[..., Any], given: dict[str, Any]) -> HookedCall:
    hooked = HookedCall(given)
    for hook in run.hooks.before:
        answer = await _ask(run, tool.name, "before_tool_call_failed", hook, hooked.request(tool.name, run))
        match answer:
            case None:
                continue
            case Success(value):
                return HookedCall(hooked.args, None, Success(_dumped(tool, value)))
            case _ if is_outcome(answer):
                return HookedCall(hooked.args, None, answer)
            case _:
                hooked = HookedCall(_checked(tool, answer))
    return hooked


def _dumped(tool: Tool[..., Any], value: Any) -> Any:
    try:
        return tool.signature.dump_result(value)
    except InvalidPayload as error:
        raise _failed(tool.name, "before_tool_call_failed", error) from error


def _checked(tool: Tool[..., Any], args: Any) -> dict[str, Any]:
    try:
        return tool.signature.bind_json(args)
    except Exception as error:
        raise _failed(tool.name, "invalid_tool_args", error) from error


async def run_after(run: Run, tool: str, hooked: HookedCall, outcome: ToolOutcome) -> ToolOutcome:
    """The outcome of a call after the hooks; the same object if none changed it. Raises `ToolFailed`
    (after_tool_call_failed)."""
    for hook in run.hooks.after:
        answer = await _ask(run, tool, "after_tool_call_failed", hook, hooked.request(tool, run), outcome)
        if is_outcome(answer):
            outcome = answer
        elif answer is not None:
            raise _failed(
                tool,
                "after_tool_call_failed",
                InvalidPayload(what="A hook's answer", reason="it is None or an outcome"),
            )
    return outcome


async def _ask(run: Run, tool: str, code: str, hook: Any, *given: Any) -> Any:
    try:
        return await run.invoke(hook, *given)
    except Exception as error:
        raise _failed(tool, code, error) from error


def _failed(tool: str, code: str, error: Exception) -> ToolFailed:
    return ToolFailed(
        tool=tool,
        failure_class="execution",
        failure_code=code,
        failure_message=described(error)[1],
        final=True,
        retry_after_ms=None,
    )


def replaced(failure: ToolFailed, **fields: Any) -> ToolFailed:
    """The failure with some fields changed."""
    return ToolFailed(**(failure.fields | fields))  # type: ignore[arg-type]
