"""`wakeline secret`: what it says, what it never shows, and what becomes of tokens that are out."""

from __future__ import annotations

import pytest
from wakeline.embedded import PrivateServer

from tests.e2e.shop import Shop
from tests.e2e.test_cli_serving import lines_until


def token_of(shop: Shop, pid: str) -> str:
    shop.text("start", "deploy", "--id", pid)
    shop.work()
    [event] = [event for event in shop.app.handle(pid).events() if event.type == "log"]
    return str(event.payload["token"])


def test_rotate_keeps_tokens_that_are_out_good_for_as_long_as_it_says(shop: Shop) -> None:
    before = token_of(shop, "deploy-1")
    old = shop.json("secret")
    assert old["previous"] is None
    done = shop.json("secret", "rotate", "--keep", "1h")
    now = shop.json("secret")
    assert now == {"current": done["id"], "previous": {"id": old["current"], "until_ms": done["until_ms"]}}
    after = token_of(shop, "deploy-2")
    assert (before.split(".")[0], after.split(".")[:2]) == ("wt1", ["wt2", done["id"]])
    assert shop.json("resolve", before, "true") == shop.json("resolve", after, "true") == {"accepted": True}
    again = shop.run("secret", "rotate")
    assert (again.exit_code, again.stdout) == (5, "")
    assert again.stderr.startswith(
        "wakeline: The secret before the current one of namespace 'shop' is still good until "
    )


def test_rotate_that_keeps_nothing_makes_tokens_that_are_out_void(shop: Shop) -> None:
    before = token_of(shop, "deploy-1")
    assert shop.text("secret", "rotate", "--keep", "0s").endswith(" from now on; those made before are void\n")
    assert shop.run("resolve", before, "true").exit_code == 3


def test_no_command_shows_a_secret(shop: Shop) -> None:
    _ = shop.app.store.secret
    shown = [
        shop.run(*words).output
        for words in (("secret",), ("secret", "rotate"), ("--json", "secret"), ("secret",), ("--json", "doctor"))
    ]
    rotated = {key: shop.redis.hget("{shop}:keyring", key) for key in ("previous", "first")}
    for secret in (shop.redis.get("{shop}:secret"), *rotated.values()):
        assert len(secret) == 64
        assert all(secret not in text for text in shown)


@pytest.mark.parametrize("stands", ["", "0" * 64])
def test_a_secret_that_is_empty_or_altered_stops_workers_and_doctor_says_how_it_is_mended(
    shop: Shop, stands: str
) -> None:
    token = token_of(shop, "deploy-1")
    shop.redis.set("{shop}:secret", stands)
    shop.app.close()
    reason = "it is empty or gone" if not stands else "it was altered: it is not the one with the id "
    for words in (("worker",), ("resolve", token, "true"), ("ps",)):
        refused = shop.run(*words)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert f"The secret of namespace 'shop' is refused: {reason}" in refused.stderr
    found = [one for one in shop.json("doctor", "--release", code=1)["findings"] if one["code"] == "secret"]
    assert [(one["level"], one["stops_release"]) for one in found] == [("problem", True)]
    assert reason in found[0]["message"] and "`wakeline secret rotate`" in found[0]["message"]
    assert shop.json("secret", code=1)["refused"].startswith(reason)
    assert shop.run("secret", "rotate").exit_code == 0
    assert shop.run("resolve", token, "true").exit_code == 3
    assert shop.json("resolve", token_of(shop, "deploy-2"), "true") == {"accepted": True}


def test_dev_shows_no_password_of_a_server_that_is_set(
    shop: Shop, server: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.redis.execute_command("ACL", "SETUSER", "carol", "on", ">s3cret-word", "~*", "&*", "+@all")
    try:
        monkeypatch.setenv("WAKELINE_REDIS_URL", f"redis://carol:s3cret-word@127.0.0.1:{server.port}/0")
        serving = shop.spawn("dev")
        lines = lines_until(serving, "export ")
        serving.terminate()
        out, problems = serving.communicate(timeout=60)
    finally:
        shop.redis.execute_command("ACL", "DELUSER", "carol")
    assert lines == [
        f"wakeline: the server that is set: redis://127.0.0.1:{server.port}",
        "export WAKELINE_APP=cli_app:app",
    ]
    assert "s3cret" not in out + problems
