"""What is said when the server cannot be used: wrong, refused, old, evicting, full, or of another mind about TLS.
Blocking and awaited alike."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis
from wakeline import App, AsyncCtx
from wakeline.embedded import PrivateServer, find_server
from wakeline.errors import (
    EvictionPolicyRefused,
    KeyFormatTooNew,
    RedisRefused,
    RedisUnavailable,
    ServerTooOld,
    StoreOutOfMemory,
    TlsFailed,
    WakelineError,
)
from wakeline.settings import Settings
from wakeline_workers.threads import WorkerThread

from tests.e2e.listeners import CERTIFICATE, closing, listening, reporting, saying, tls_in_front_of

BOUND_S = 3
QUICK = "socket_timeout=0.1&socket_connect_timeout=0.1"
"""Options of a URL under which silence is noticed soon; a server that says nothing costs four timeouts."""


def app_at(url: str, **variables: str) -> App:
    """An app as the environment would make it."""
    return App("connect", settings=Settings.from_env({"WAKELINE_REDIS_URL": url} | variables))


def refusal(app: App) -> WakelineError:
    """The error that every use of this app raises: the first one and the second, blocking and awaited."""

    async def awaited() -> None:
        try:
            await app.aio.processes()
        finally:
            await app.aio.close()

    found: list[WakelineError] = []
    for use in (app.processes, app.processes, lambda: asyncio.run(awaited()), lambda: app.resolve("wt1.a.b")):
        began = time.monotonic()
        with pytest.raises(WakelineError) as caught:
            use()
        assert time.monotonic() - began < BOUND_S
        found.append(caught.value)
    assert len({(type(error), error.code) for error in found}) == 1, found
    app.close()
    return found[0]


@contextmanager
def configured(server: PrivateServer, name: str, value: str) -> Iterator[None]:
    """The server with another setting."""
    with redis.Redis.from_url(server.url) as client:
        before = client.config_get(name)[name]
        client.config_set(name, value)
        try:
            yield
        finally:
            client.config_set(name, before)


# -- the URL

REFUSED = "Redis refused the connection or command: "
UNUSABLE = "The URL of Redis cannot be used: "
URLS = {
    "http://localhost:6379": (
        f"{UNUSABLE}the URL must begin with redis://, rediss://, unix://, sentinel:// or cluster://, not 'http'."
    ),
    "localhost:6379": (
        f"{UNUSABLE}the URL must begin with redis://, rediss://, unix://, sentinel:// or cluster://, not 'localhost'."
    ),
    "redis://localhost:port/0": (
        f"{UNUSABLE}the URL has no usable host and port; in a password, / : @ and ? have to be percent-encoded."
    ),
    "redis://:se/cret@localhost:6379": (
        f"{UNUSABLE}the URL has no usable host and port; in a password, / : @ and ? have to be percent-encoded."
    ),
    "redis://[::1": (
        f"{UNUSABLE}the URL has no usable host and port; in a password, / : @ and ? have to be percent-encoded."
    ),
    "redis://localhost:6379/shop": f"{UNUSABLE}the path of the URL has to be the number of a database, not '/shop'.",
    "redis://localhost:6379/0?socket_timeout=soon": (
        f"{UNUSABLE}the URL has an option that cannot be used: Invalid value for 'socket_timeout' in"
    ),
    "rediss://localhost:6379?ssl_ca_certs=/missing.pem": (
        "TLS with Redis failed: there is no file '/missing.pem', which ssl_ca_certs names."
    ),
}


@pytest.mark.parametrize("url", URLS)
def test_a_url_that_cannot_work_is_refused_before_anything_is_connected(url: str) -> None:
    app = app_at(url)
    for _ in range(2):
        with pytest.raises((RedisRefused, TlsFailed)) as caught:
            app.processes()
        assert str(caught.value).startswith(URLS[url])
        assert "cret" not in str(caught.value)


# -- no server there, or another one


def test_a_port_where_nobody_listens_is_said_at_once_and_may_be_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    error = refusal(app_at(f"redis://127.0.0.1:{port}/0"))
    assert (type(error), error.retryable) == (RedisUnavailable, True)
    assert str(error).startswith(f"Redis does not answer: Error 111 connecting to 127.0.0.1:{port}.")


def test_a_host_that_does_not_exist_is_named() -> None:
    error = refusal(app_at("redis://redis.invalid:6379/0"))
    assert type(error) is RedisUnavailable
    assert "redis.invalid:6379" in str(error)


def test_a_web_server_is_not_taken_for_a_redis() -> None:
    with listening(saying(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port:
        error = refusal(app_at(f"redis://127.0.0.1:{port}/0"))
    assert type(error) is RedisRefused
    assert 'what answers there is not Redis (Protocol error, got "H" as reply type byte)' in str(error)


def test_a_server_that_accepts_and_says_nothing_is_given_up_in_time() -> None:
    with listening(saying(b"")) as port:
        error = refusal(app_at(f"redis://127.0.0.1:{port}/0?{QUICK}"))
    assert (type(error), error.retryable) == (RedisUnavailable, True)


def test_an_app_that_met_no_redis_works_as_soon_as_there_is_one() -> None:
    binary = find_server()
    assert binary is not None
    with PrivateServer(binary) as server:
        app = app_at(server.url)
        server.kill()
        assert type(refusal(app)) is RedisUnavailable
        server.start()
        assert app.processes() == []
        assert asyncio.run(app.aio.processes()) == []
        app.close()


# -- credentials


def test_a_wrong_password_a_missing_one_and_a_missing_right_are_refused(server: PrivateServer) -> None:
    where = server.url.partition("@")[2]
    with redis.Redis.from_url(server.url) as client:
        client.execute_command("ACL", "SETUSER", "alice", "on", ">secret", "~*", "+@all", "-fcall", "-evalsha", "-eval")
        try:
            wrong = refusal(app_at(f"redis://alice:wrong@{where}"))
            forbidden = refusal(app_at(f"redis://alice:secret@{where}"))
        finally:
            client.execute_command("ACL", "DELUSER", "alice")
    missing = refusal(app_at(f"redis://{where}"))
    assert [type(error) for error in (wrong, forbidden, missing)] == [RedisRefused] * 3
    assert "invalid username-password pair" in str(wrong)
    assert "has no permissions to run the 'evalsha' command" in str(forbidden)
    assert (
        str(missing)
        == f"{REFUSED}the server wants a password and the URL has none. Check user, password, ACL and the URL."
    )


@pytest.mark.parametrize("refused", ["-fcall", "-function"])
def test_a_user_who_may_have_no_functions_is_served_all_the_same(server: PrivateServer, refused: str) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.function_flush()
        client.execute_command("ACL", "SETUSER", "bob", "on", ">secret", "~*", "&*", "+@all", refused)
        try:
            url = f"redis://bob:secret@{server.url.partition('@')[2]}"
            app = App("served", settings=Settings.from_env({"WAKELINE_REDIS_URL": url}))

            @app.engine
            async def doubles(ctx: AsyncCtx, n: int) -> int:
                return 2 * n

            with WorkerThread(app):
                assert app.start(doubles, 21).result(timeout=20) == 42
            assert (client.function_list() == []) is (refused == "-function")
            app.close()
        finally:
            client.execute_command("ACL", "DELUSER", "bob")


def test_whoever_only_looks_is_answered_while_no_write_is_taken(server: PrivateServer) -> None:
    app = App("looks", settings=Settings.from_env({"WAKELINE_REDIS_URL": server.url}))

    @app.tool
    def work() -> None: ...

    handle = app.start(work)
    with configured(server, "min-replicas-to-write", "1"):
        assert handle.status().status == "queued"
        with pytest.raises(RedisUnavailable, match="NOREPLICAS"):
            app.start(work)
    app.close()


def test_a_database_the_server_does_not_have_is_refused(server: PrivateServer) -> None:
    error = refusal(app_at(server.url.removesuffix("/0") + "/99"))
    assert type(error) is RedisRefused
    assert "DB index is out of range" in str(error)


# -- a server that cannot keep what it is given


def test_a_server_that_evicts_is_refused_at_every_use_until_it_is_set_right(server: PrivateServer) -> None:
    app = app_at(server.url)
    with configured(server, "maxmemory-policy", "allkeys-lru"):
        error = refusal(app)
        assert type(error) is EvictionPolicyRefused
        assert (
            str(error)
            == "Redis evicts keys (maxmemory-policy allkeys-lru), which loses durable work. Set maxmemory-policy to"
            " noeviction."
        )
        with pytest.raises(EvictionPolicyRefused):
            app.handle("p").cancel()
        allowed = app_at(server.url, WAKELINE_ALLOW_EVICTION="1")
        assert allowed.processes() == []
        allowed.close()
    assert app.processes() == []
    app.close()


def test_a_server_without_memory_left_refuses_and_may_be_asked_again(server: PrivateServer) -> None:
    app = app_at(server.url)

    @app.tool
    def work() -> None: ...

    assert app.processes() == []
    with configured(server, "maxmemory", "1mb"):
        with pytest.raises(StoreOutOfMemory) as caught:
            app.using(id="full").start(work)
        assert caught.value.retryable
    assert app.using(id="full").start(work).status().status == "queued"
    app.close()
    with redis.Redis.from_url(server.url) as client:
        client.flushall()


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ("redis_version:5.0.7\r\n", "The server is redis 5.0.7; Wakeline needs redis 6.2 or newer."),
        ("redis_version:6.0.16\r\n", "The server is redis 6.0.16; Wakeline needs redis 6.2 or newer."),
        (
            "redis_version:7.2.4\r\nvalkey_version:7.0.1\r\n",
            "The server is valkey 7.0.1; Wakeline needs valkey 7.2 or newer.",
        ),
    ],
)
def test_a_server_that_is_too_old_is_named_with_what_is_needed(info: str, message: str) -> None:
    with listening(reporting(info)) as port:
        error = refusal(app_at(f"redis://127.0.0.1:{port}/0?protocol=2"))
    assert type(error) is ServerTooOld
    assert str(error) == f"{message} Upgrade it, or set REDIS_URL to a newer one."


def test_keys_of_a_later_release_are_left_alone(server: PrivateServer) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.hset("{connect}:meta", "format", "2")
        error = refusal(app_at(server.url))
        assert type(error) is KeyFormatTooNew
        assert (
            str(error) == "Namespace 'connect' has keys of format 2, and this release knows 1. "
            "Deploy the release that wrote them or a later one, or use another namespace."
        )
        client.flushall()


def test_a_server_too_old_to_say_how_old_it_is_is_refused_alike() -> None:
    with listening(reporting("redis_version:5.0.7\r\n")) as port:
        error = refusal(app_at(f"redis://127.0.0.1:{port}/0"))
    assert type(error) is ServerTooOld
    assert (
        str(error)
        == "The server is redis older than 6.0; Wakeline needs redis 6.2 or newer. Upgrade it, or set REDIS_URL to a"
        " newer one."
    )


# -- TLS


def test_a_self_signed_server_is_refused_until_it_is_trusted(server: PrivateServer) -> None:
    with listening(tls_in_front_of(server.port)) as port:
        login = server.url.removeprefix("redis://").partition("@")[0]
        url = f"rediss://{login}@127.0.0.1:{port}/0"
        error = refusal(app_at(url))
        assert type(error) is TlsFailed
        assert "certificate verify failed: self-signed certificate" in str(error)
        assert "Name its certificate authority in the URL (?ssl_ca_certs=<file>), or set WAKELINE_TLS=none" in str(
            error
        )
        assert type(refusal(app_at(url, WAKELINE_TLS="verify"))) is TlsFailed
        for trusting in (
            app_at(f"{url}?ssl_ca_certs={CERTIFICATE}"),
            app_at(f"{url}?ssl_cert_reqs=none"),
            app_at(url, WAKELINE_TLS="none"),
            app_at(url, DYNO="web.1"),
        ):
            assert trusting.processes() == []
            trusting.close()
        wrong_name = refusal(app_at(f"rediss://{login}@localhost:{port}/0?ssl_ca_certs={CERTIFICATE}"))
        assert type(wrong_name) is TlsFailed
        assert "localhost" in str(wrong_name)


def test_a_plain_client_on_a_tls_port_is_told_to_speak_tls(server: PrivateServer) -> None:
    with listening(tls_in_front_of(server.port)) as port:
        error = refusal(app_at(f"redis://127.0.0.1:{port}/0"))
    assert isinstance(error, TlsFailed | RedisUnavailable)
    assert "rediss://" in str(error)


def test_a_plain_client_that_is_answered_with_a_tls_alert_is_told_to_speak_tls() -> None:
    with listening(saying(b"\x15\x03\x03\x00\x02\x02\x28")) as port:
        error = refusal(app_at(f"redis://127.0.0.1:{port}/0"))
    assert type(error) is TlsFailed
    assert str(error).startswith("TLS with Redis failed: the server speaks TLS and the URL does not; use rediss://.")


def test_a_plain_client_on_a_port_that_hangs_up_is_told_of_tls() -> None:
    with listening(closing) as port:
        error = refusal(app_at(f"redis://127.0.0.1:{port}/0"))
    assert type(error) is RedisUnavailable
    assert "if it speaks TLS only, use rediss://" in str(error)


def test_a_tls_client_on_a_plain_port_is_told_to_speak_plainly(server: PrivateServer) -> None:
    error = refusal(app_at(f"rediss://127.0.0.1:{server.port}/0?{QUICK}"))
    assert type(error) is RedisUnavailable
    assert "if it does not speak TLS, use redis://" in str(error)
