"""The context of the body that runs here, for code that did not get it as an argument."""

from __future__ import annotations

from wakeline.body.blocking import Ctx
from wakeline.body.context import AsyncCtx
from wakeline.run.run import Run
from wakeline.tools.tool import current_body


def current_context() -> AsyncCtx | Ctx | None:
    """The context of the body whose code runs here (for a turn, its `AsyncTurn` or `Turn`). None outside of a body, and
    in the code of a step, a tool or a deferred call, because that code is recorded as a whole."""
    body = current_body.get()
    context = body.context if isinstance(body, Run) else None
    return context if isinstance(context, AsyncCtx | Ctx) else None
