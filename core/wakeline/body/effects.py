"""``ctx.effect``: one recorded effect under a key that its caller chose. Integrations of other frameworks use it.

Invariant: an outcome is recorded once, and then given without a call. What the code raises is not recorded.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from wakeline import typed
from wakeline.effects.envelope import Envelope, envelope_hash
from wakeline.errors import InvalidArguments
from wakeline.names import check_effect_key, check_key
from wakeline.run.run import Run


async def recorded(run: Run, name: str, perform: Callable[[], Any], args: Any, key: str | None) -> Any:
    """The outcome of ``perform`` as JSON data, recorded under the key; a replay gives it without a call.

    Raises what ``perform`` raises. Raises `InvalidPayload` or `PayloadTooLarge` for an outcome that cannot be recorded,
    and `ReplayMismatch` if another name or other arguments are recorded under the key. Raises `EffectRepeated` if this
    run used the key before.
    """
    what = f"The outcome of effect {name}"

    async def made(_: str) -> Any:
        outcome = await run.invoke(perform)
        if inspect.isawaitable(outcome):
            outcome = await run.invoke(_awaited, outcome)
        return typed.dump(outcome, what=what)

    async with run.journal.asking():
        if not callable(perform):  # pyright: ignore[reportUnnecessaryComparison]
            raise InvalidArguments(name="effect", reason=f"it calls what it is given, and {perform!r} cannot be called")
        given = typed.asked(args, what=f"the arguments of effect {check_key(name, 'effect name')}")
        envelope = Envelope("effect", name, given)
        own_key = check_effect_key(key) if key is not None else None
    journal = run.journal
    own_key = own_key or journal.key_of(envelope, envelope_hash(envelope))
    with journal.one_of_its_key(own_key):
        return await journal.effect(envelope.kind, name, given, made, key=own_key, keeps_errors=False)


async def _awaited(outcome: Awaitable[Any]) -> Any:
    return await outcome
