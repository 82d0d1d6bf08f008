"""Bearer tokens as running bodies hand them out (E5, E11, E29, E32, E43, E53, E54): the same again, altered, from
another instance, and unused."""

from __future__ import annotations

import base64
import hmac
from typing import Any

import pytest
from wakeline import App, AsyncCtx, current
from wakeline.errors import AwaitEventUnknownOrRevoked
from wakeline.store.connection import Backend

from tests.scenario.conftest import until

TOKEN_PARTS = 3


def asking(app: App, tokens: list[str]) -> Any:
    """An engine that asks for an approval and answers with what it was told; every run notes the token it hands out."""

    @app.engine
    async def asks(ctx: AsyncCtx) -> str:
        approval = await ctx.approval("publish", str)
        tokens.append(approval.token)
        return await approval.wait()

    return asks


def test_a_body_that_runs_again_hands_out_the_same_token(app: App) -> None:
    tokens: list[str] = []
    handle = app.start(asking(app, tokens))
    until(lambda: handle.status().status == "waiting")  # parked: the answer has the body run again from its start
    assert app.resolve(tokens[0], "yes") is True
    assert handle.result(timeout=10) == "yes"
    assert len(tokens) == 2 and tokens[0] == tokens[1]


def test_a_token_is_good_at_another_instance_and_a_third_sees_what_it_did(app: App, backend: Backend) -> None:
    tokens: list[str] = []
    handle = app.start(asking(app, tokens))
    until(lambda: len(tokens) == 1)
    second, third = App(app.namespace, backend=backend), App(app.namespace, backend=backend)
    try:
        assert second.resolve(tokens[0], "from afar") is True
        assert third.handle(handle.id).result(timeout=10) == "from afar"
    finally:
        second.close()
        third.close()


@pytest.mark.parametrize("part", range(TOKEN_PARTS), ids=["version", "content", "signature"])
@pytest.mark.parametrize("change", ["content", "shorter", "longer", "empty"])
def test_a_token_with_any_part_changed_is_refused_and_the_body_goes_on_waiting(
    app: App, part: int, change: str
) -> None:
    tokens: list[str] = []
    handle = app.start(asking(app, tokens))
    until(lambda: handle.status().status == "waiting")
    parts = tokens[0].split(".")
    assert len(parts) == TOKEN_PARTS
    text = parts[part]
    middle = len(text) // 2  # the last character of base64 may hold bits that count for nothing
    other = "A" if text[middle] != "A" else "B"
    parts[part] = {
        "content": text[:middle] + other + text[middle + 1 :],
        "shorter": text[:-2],
        "longer": text + "AA",
        "empty": "",
    }[change]
    with pytest.raises(AwaitEventUnknownOrRevoked):
        app.resolve(".".join(parts), "forged")
    assert handle.status().status == "waiting"
    assert app.resolve(tokens[0], "genuine") is True
    assert handle.result(timeout=10) == "genuine"


def test_a_token_that_is_only_handed_out_leaves_no_slot(app: App) -> None:
    found: list[str] = []

    def slots() -> list[str]:
        return [
            key
            for key in app.store.client.scan_iter(match=app.store.address.prefix + "*")
            if ":slot:" in key or ":waits:" in key
        ]

    @app.tool
    def looks() -> int:
        found.append(current().token)
        return len(slots())

    @app.engine
    async def asks(ctx: AsyncCtx) -> list[int]:
        found.append(
            (await ctx.approval("publish")).token
        )  # a typed one keeps what it asks, for the check of early answers
        return [await ctx.call(looks), len(slots())]

    assert app.start(asks).result(timeout=10) == [0, 0]
    assert len(set(found)) == 2


def test_what_a_token_signs_is_its_version_and_content_with_their_lengths(app: App) -> None:
    """E54, reckoned here by hand: bytes behind eight bytes of length each, so that no two lists of parts sign alike."""
    tokens: list[str] = []
    app.start(asking(app, tokens))
    until(lambda: bool(tokens))
    version, content, signature = tokens[0].split(".")
    message = b"".join(
        len(part).to_bytes(8, "big") + part
        for part in (b"wakeline.await-event-token", version.encode(), content.encode())
    )
    digest = hmac.new(app.store.secret, message, "sha256").digest()
    assert signature == base64.urlsafe_b64encode(digest).decode().rstrip("=")
