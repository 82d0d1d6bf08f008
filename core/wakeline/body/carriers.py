"""A call of a body whose tool runs in a separate process: which process carries it, and what it is handed.

Invariant: the record decides, and not the present declaration of the tool. A call is one call in any place: its
idempotency key follows from its replay key alone, and goes with it.
"""

from __future__ import annotations

from typing import Any

from wakeline.body.calls import attempt_key, call_tool, idempotency_key
from wakeline.body.children import CarriedCall, result_of, start_body
from wakeline.body.hooks import HookedCall
from wakeline.effects.envelope import Envelope, envelope_hash
from wakeline.processes.registration import Carried
from wakeline.run.run import Run
from wakeline.tools.tool import Tool
from wakeline.verbs.options import Options


async def call_from_body(
    run: Run, tool: Tool[..., Any], given: dict[str, Any], options: Options, *, wake_end: bool = False
) -> Any:
    """The JSON result of a call. It is carried out as it was recorded, or, without a record, as its tool is declared
    now. Raises `ToolFailed`, `ProcessFailed`."""
    carrier = ChildCarrier(run, tool, given, options, wake_end=wake_end)
    return await call_tool(run, tool, given, key=options.key, carrier=carrier)


class ChildCarrier:
    """The `wakeline.body.calls.Carrier` of one call of a body, which starts a child."""

    def __init__(
        self, run: Run, tool: Tool[..., Any], given: dict[str, Any], options: Options, *, wake_end: bool
    ) -> None:
        self._run, self._tool, self._given, self._options, self._wake_end = (run, tool, given, options, wake_end)
        self._known = run.journal.known_as(tool.name, tool.was)
        self._apart = tool.is_apart or bool(options.queue)

    def key_of(self, base: str, attempt: int) -> str | None:
        """The replay key of the start of the process that carries the call from this attempt on; None if it runs in the
        body's own run."""
        own = attempt_key(base, attempt)
        row = self._run.journal.rows.get(own)
        if row is not None:
            return own if row.kind == "start" else None
        if attempt > 1 or self._options.key:
            return own if self._apart else None
        return self._run.journal.asking_key(self._envelope(), base, fresh=self._apart)

    async def result(self, key: str, base: str, attempt: int = 1, hooked: HookedCall | None = None) -> Any:
        """The result of the process that was started under the key. ``hooked`` is the call, if it
        already went through hooks here."""
        run, own = self._run, attempt_key(base, attempt)
        if key not in run.journal.rows:
            # A call of this tool with other arguments may be recorded. Then this one is not new.
            asked = Envelope("tool_call", f"call:{self._known}", self._given)
            await run.journal.record_of(own, asked, envelope_hash(asked))
        call = CarriedCall(
            key,
            self._envelope(None if key == own else base),
            Carried(idempotency_key(run, base), attempt, hooked is not None),
            hooked,
        )
        started = await start_body(run, self._tool, self._given, self._options, wake_end=self._wake_end, call=call)
        return await result_of(run, *started)

    def _envelope(self, asks: str | None = None) -> Envelope:
        return Envelope("start", f"start:{self._known}", {"arguments": self._given, "id": self._options.id}, asks)
