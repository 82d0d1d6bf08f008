"""A secret is rotated while a body that has handed its token out is parked."""

from __future__ import annotations

from secrets import token_hex

import pytest
from wakeline import App, Ctx, current
from wakeline.errors import AwaitEventUnknownOrRevoked
from wakeline.settings import Settings
from wakeline.store import keyring
from wakeline.store.connection import Backend
from wakeline.waits.keys import encode_token

from tests.scenario.conftest import served, until


@pytest.mark.parametrize("row", ["as it is written now", "of the release before"])
def test_a_body_that_gave_its_token_to_a_step_goes_on_after_a_rotation_that_made_the_token_void(
    backend: Backend, row: str
) -> None:
    app = App("t" + token_hex(4), backend=backend, settings=Settings(hold_ms=20))
    told: list[str] = []

    @app.engine(signals={"go": str})
    def publish(ctx: Ctx) -> str:
        ask = ctx.approval("publish", bool)
        ctx.step("tell a person", told.append, ask.token)
        return ctx.wait("go", str)

    with served(app):
        handle = app.using(id="p").start(publish)
        until(lambda: handle.status().status == "waiting")
    client, journal = app.store.client, "{" + app.namespace + "}:journal:p"
    if row == "of the release before":
        [(name, text)] = [(k, v) for k, v in client.hgetall(journal).items() if "approval" in k]  # type: ignore[union-attr]
        assert told[0] in text
        client.hset(journal, name, text.replace(f',"token":"{told[0]}"', ""))
        assert told[0] not in client.hget(journal, name)  # type: ignore[operator]
    app.store.execute(keyring.rotate(app.namespace, 0))
    app.close()
    with pytest.raises(AwaitEventUnknownOrRevoked):
        app.resolve(told[0], True)
    with served(app):
        handle.signal("go", "on")
        assert handle.result(timeout=10) == "on"
    assert len(told) == 1
    app.close()


def test_after_a_rotation_bodies_and_tools_make_tokens_with_the_new_secret(backend: Backend) -> None:
    app = App("t" + token_hex(4), backend=backend, settings=Settings(hold_ms=20))
    made: list[str] = []

    @app.tool
    def submits() -> bool:
        made.append(current().token)
        return current().pending()  # type: ignore[return-value]

    @app.engine
    def publish(ctx: Ctx) -> bool:
        ask = ctx.approval("publish", bool)
        made.append(ask.token)
        return ask.wait()

    app.store.execute(keyring.rotate(app.namespace, 60_000))
    app.close()
    new = app.store.keyring.current
    with served(app):
        for body in (submits, publish):
            handle = app.start(body)
            until(lambda handle=handle: handle.status().status == "waiting")  # type: ignore[misc]
            head, secret, _, _ = made[-1].split(".")
            assert (head, secret) == ("wt2", encode_token(new, "p", "i", "k", named=True).split(".")[1])
            assert app.resolve(made[-1], True) is True
            handle.result(timeout=10)
    app.close()


def test_neither_an_approval_nor_a_call_shows_its_token_when_it_is_printed(app: App) -> None:
    shown: list[tuple[str, str]] = []

    @app.tool
    def prints() -> None:
        shown.append((current().token, repr(current())))

    @app.engine
    def asks(ctx: Ctx) -> None:
        ask = ctx.approval("publish", bool)
        shown.append((ask.token, repr(ask)))
        ctx.call(prints)

    app.start(asks).result(timeout=10)
    assert len(shown) == 2
    for token, text in shown:
        assert token.rpartition(".")[2] not in text
