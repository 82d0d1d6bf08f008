"""Questions of a body to a person or a program outside. Each has its own bearer token, and a place in the list of open
ones.

Invariant: the type of the answer is stored before the token is handed out. One script writes the question and its row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, overload

from wakeline import typed
from wakeline.effects.envelope import Envelope
from wakeline.names import check_label
from wakeline.run.run import Run
from wakeline.run.waits import WaitCall, WaitFor, schema_of_answer, settle
from wakeline.store.approvals import Ask
from wakeline.store.journal import Row
from wakeline.verbs.options import MISSING
from wakeline.waits.identity import Custom
from wakeline.waits.keys import encode_token
from wakeline.waits.kinds import WaitKind
from wakeline.waits.questions import Question
from wakeline.waits.resolutions import Resolution

T = TypeVar("T")
D = TypeVar("D")


@dataclass(frozen=True, slots=True)
class AsyncApproval(Generic[T]):
    """A question to a person or a program outside. The holder of `token` answers it, once."""

    name: str
    token: str = field(repr=False)
    run: Run = field(repr=False)
    slot_key: str
    kind: Any
    due_ms: int | None
    event: str | None = field(default=None, repr=False)
    """What its wait has to say of it, where it was asked without an event."""

    @overload
    async def wait(self) -> T: ...
    @overload
    async def wait(self, *, default: D) -> T | D: ...
    async def wait(self, *, default: Any = MISSING) -> Any:
        """The answer; raises `WaitTimeout` at the timeout (unless ``default`` is given), `WaitCancelled`,
        `WaitFailed`."""
        [resolution] = await self.run.waits.for_all([wait_for(self)])
        return answer_of(self, resolution, default)


def wait_for(approval: AsyncApproval[Any], limit_ms: int | None = None) -> WaitCall:
    """The wait for its answer, for at most ``limit_ms``."""
    target = WaitFor(
        Custom(approval.slot_key),
        WaitKind.APPROVAL.of(approval.name),
        for_ms=limit_ms,
        due_ms=approval.due_ms,
        schema=schema_of_answer(approval.kind),
        event=approval.event,
    )
    args, key = {"key": approval.slot_key}, f"{approval.slot_key}:answer"
    return approval.run.waits.call("wait", f"approval:{approval.name}", args, target, key=key)


def answer_of(approval: AsyncApproval[Any], resolution: Resolution, default: Any = MISSING) -> Any:
    """What the wait came to, as the body has it."""
    with approval.run.journal.reading():
        return settle(f"approval {approval.name}", resolution, approval.kind, default)


async def ask(run: Run, name: str, kind: Any, timeout_ms: int | None, question: Any) -> AsyncApproval[Any]:
    """Asks; raises `PayloadTooLarge`, `InvalidPayload` for a question that is too long, or no JSON."""
    # The question is no part of what tells effects apart: a deploy may word it anew.
    envelope = Envelope(kind="approval", name=f"approval:{name}", args={"timeout": timeout_ms})
    async with run.journal.asking():
        if envelope.name not in run.journal.names:  # what a release before took goes on
            check_label(name, "approval name")
        text = typed.asked(question, what=f"the question of approval {name}")
        Question.of(name, text, {}, None)
    key = run.journal.key_of(envelope)
    slot_key = f"{run.idempotency_key}:{key}"
    slot = run.waits.slot_of(Custom(slot_key))
    schema = schema_of_answer(kind) if kind is not None else None
    at_once = schema is not None or text is not None

    def event(due_ms: int | None) -> str:
        return Question.of(name, text, typed.schema_of(kind) if schema is not None else {}, due_ms).to_json()

    async def perform(_: str) -> Any:
        due_ms = run.clock.now_ms() + timeout_ms if timeout_ms is not None else None
        ring = await run.store.keyring()
        # Recorded, because a body may hand it to a step or a tool, whose arguments have to be the same in a replay,
        # also after a rotation.
        return {"due_ms": due_ms, "token": ring.token(run.process_id, run.fence.incarnation, slot, due_ms)}

    async def write(row_of: Callable[[Any], Row]) -> Any:
        # Before the token is handed out, because an answer may come before the body waits for it, and has to fit too.
        outcome = await perform(key) | {"asked": True}
        due_ms = outcome["due_ms"]
        await run.journal.record(
            row_of(outcome), [Ask(slot, WaitKind.COMPLETION.of(name), schema, due_ms, event(due_ms))]
        )
        return outcome

    made = await run.journal.effect(
        envelope.kind,
        envelope.name,
        envelope.args,
        perform,
        key=key,
        write=write if at_once else None,
        lazily=not at_once,
    )
    due_ms = made["due_ms"]
    token = made["token"] if "token" in made else await _token_of_the_release_before(run, slot, due_ms)
    if "asked" in made:
        run.waits.hands_out(slot)
    own = None if "asked" in made else event(due_ms)
    return AsyncApproval(name, token, run, slot_key, kind if kind is not None else Any, due_ms, own)


async def _token_of_the_release_before(run: Run, slot: str, due_ms: int | None) -> str:
    # Rows of that release do not have the token, so it is made again with the secret of that time.
    ring = await run.store.keyring()
    return encode_token(ring.first or ring.current, run.process_id, run.fence.incarnation, slot, due_ms)
