"""The least rights of docs/acl/wakeline.acl, loaded into a real server: a worker and its clients live with them, and a
denial says what was denied."""

from __future__ import annotations

import logging
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from wakeline import App, AsyncTurn, Ctx, Limit
from wakeline.embedded import find_server
from wakeline.errors import RedisRefused
from wakeline.settings import Settings
from wakeline.store import connection, denials, fleet, keyring, queues, scripts
from wakeline_workers.threads import WorkerThread

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docs/acl/wakeline.acl"
USED_BY_CLIENTS = {
    "hello",
    "auth",
    "ping",
    "select",
    "client|setinfo",
    "client|setname",
    "info",
    "config|get",
    "fcall",
    "evalsha",
    "eval",
    "function|list",
    "function|load",
    "function|delete",
    "multi",
    "exec",
    "blpop",
    "xread",
    "scan",
    "strlen",
}


def rights() -> set[str]:
    return set(re.findall(r" \+([a-z|]+)", FILE.read_text(encoding="utf-8")))


def commands_of_scripts() -> set[str]:
    lua = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "core/wakeline/store/lua").rglob("*.lua"))
    named = re.findall(r"\b(?:call|gather)\((?:\w+ and )?'([A-Z]+)'(?: or '([A-Z]+)')?", lua)
    return {name.lower() for pair in named for name in pair if name}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a server with the file as its users' file listens; the password is the file's own."""
    binary = find_server()
    assert binary is not None
    folder = tmp_path_factory.mktemp("guarded")
    admin = "user admin on >admin ~* &* +@all\n"
    (folder / "users.acl").write_text(FILE.read_text(encoding="utf-8") + admin, encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        binary.path,
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--dir",
        str(folder),
        "--save",
        "",
        "--aclfile",
        str(folder / "users.acl"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with redis.Redis(port=port, username="admin", password="admin") as client:
            until(lambda: answers(client))
        yield f"127.0.0.1:{port}/0"
    finally:
        process.kill()
        process.wait()


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def until(look: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not look():
        assert time.monotonic() < end
        time.sleep(0.02)


def admin(where: str) -> redis.Redis:
    return redis.Redis.from_url(f"redis://admin:admin@{where}", decode_responses=True)


def app_of(where: str, user: str = "wakeline:CHANGE-THIS-PASSWORD") -> App:
    return App("shop", settings=Settings(url=f"redis://{user}@{where}", hold_ms=20, grace_ms=500, retention_ms=1_000))


def test_the_file_names_every_command_that_scripts_and_clients_use_and_no_other() -> None:
    assert rights() == commands_of_scripts() | USED_BY_CLIENTS
    users = [line.split()[:3] for line in FILE.read_text(encoding="utf-8").splitlines() if line.startswith("user")]
    assert users == [["user", "default", "off"], ["user", "wakeline", "on"]]


def test_a_worker_and_its_clients_live_with_the_rights_of_the_file(guarded: str) -> None:
    app = app_of(guarded)
    tokens: list[str] = []

    @app.tool(retries=1, backoff="10ms", limit=Limit(concurrency=1, rate="100/1s"))
    def charge(order: int) -> int:
        return order

    @app.engine(signals={"go": bool})
    def refund(ctx: Ctx, order: int) -> int:
        children = [ctx.start(charge, n) for n in range(3)]
        ctx.gather(children)
        ctx.emit("log", {"n": order})
        ctx.attachments.put(b"x" * 100_000, "text/plain")
        ctx.sleep("50ms")
        ask = ctx.approval("ship", bool)
        ctx.step("tell", tokens.append, ask.token)
        return order if ask.wait() and ctx.wait("go", bool) else 0

    @app.engine
    def stays(ctx: Ctx) -> None:
        ctx.sleep("1h")

    @app.agent("clerk")
    async def clerk(turn: AsyncTurn) -> str:
        return "; ".join(str(item.text) for item in turn.inbox)

    desk = app.session("clerk", "desk-1")
    with WorkerThread(app):
        handle = app.using(id="r", wake=desk, unique="k").start(refund, 7)
        until(lambda: tokens)
        assert app.resolve(tokens[0], True)
        handle.signal("go", True)
        assert handle.result(timeout=30) == 7
        assert [event.type for event in handle.events()][-1] == "process.completed"
        until(lambda: any("completed" in str(m.content) for m in desk.history()))
        assert desk.ask("well?", timeout=30)
        stays_on = app.using(id="s", delay="10ms").start(stays)
        until(lambda: stays_on.status().status == "waiting")
        stays_on.cancel("enough")
        until(lambda: stays_on.status().status == "cancelled")
        stays_on.retry().cancel("enough")
        app.pause()
        app.resume()
        outside = app.external("ci", id="e", wake=desk)
        outside.emit("log", {"a": 1})
        outside.finish({"ok": True})
        app.store.execute(keyring.rotate("shop", 60_000))
        kept = app.attachments.put(b"y" * 100_000, "text/plain")
        assert app.attachments.get(kept.id) == b"y" * 100_000
        assert app.processes() and app.why("clerk/desk-1") and app.undeliverable() == []
        app.store.execute(fleet.read_fleet(app.queues))
        app.store.execute(queues.list_queues(app.queues))
        desk.delete()
        time.sleep(2.5)  # two ticks beyond the retention: what ended is pruned
    assert app.store.info()["appendfsync"]
    app.close()
    with admin(guarded) as client:
        denied = [entry for entry in client.acl_log() if entry["username"] == "wakeline"]
        assert denied == []
        client.set("elsewhere", "1")
    with redis.Redis.from_url(f"redis://wakeline:CHANGE-THIS-PASSWORD@{guarded}") as client:
        for words in (
            ("GET", "elsewhere"),
            ("FLUSHALL",),
            ("CONFIG", "SET", "save", ""),
            ("KEYS", "*"),
            ("ACL", "WHOAMI"),
        ):
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*words)


def test_without_info_a_client_works_and_what_it_tells_is_said_to_be_unknown_once(
    guarded: str, caplog: pytest.LogCaptureFixture
) -> None:
    with admin(guarded) as client:
        client.execute_command(
            "ACL",
            "SETUSER",
            "modest",
            "on",
            ">x",
            *FILE.read_text(encoding="utf-8").splitlines()[1].split()[4:],
            "-info",
            "-config|get",
        )
    connection._not_told.cache_clear()  # pyright: ignore[reportPrivateUsage]
    with caplog.at_level(logging.WARNING, "wakeline.store"):
        for _ in range(2):
            app = app_of(guarded, "modest:x")

            @app.tool
            def doubles(n: int) -> int:
                return 2 * n

            with WorkerThread(app):
                assert app.start(doubles, 21).result(timeout=30) == 42
            assert app.store.info() == {}
            app.close()
    said = [record.getMessage() for record in caplog.records if "INFO" in record.getMessage()]
    assert len(said) == 1 and "maxmemory-policy" in said[0] and "not known" in said[0]


@pytest.mark.parametrize("functions", [True, False], ids=["as functions", "as scripts"])
@pytest.mark.parametrize("command", ["hset", "zadd", "xadd", "get"])
def test_a_denial_inside_a_script_names_the_command_and_is_no_fault_of_the_script(
    guarded: str, command: str, functions: bool
) -> None:
    with admin(guarded) as client:
        client.execute_command(
            "ACL",
            "SETUSER",
            "poor",
            "reset",
            "on",
            ">x",
            "~*",
            "&*",
            "+@all",
            f"-{command}",
            *([] if functions else ["-fcall"]),
        )
        client.flushall()
    app = app_of(guarded, "poor:x")
    with pytest.raises(RedisRefused) as refused:
        app.external("ci", id=f"d-{command}-{functions}").emit("log", {"a": 1})
    assert f"this user may not run {command.upper()} in script " in refused.value.reason
    assert "bug" not in str(refused.value) and "foreign" not in str(refused.value)
    app.close()


def test_a_denied_key_is_said_to_be_one(guarded: str) -> None:
    with admin(guarded) as client:
        client.execute_command(
            "ACL", "SETUSER", "narrow", "reset", "on", ">x", "~{shop}:meta", "~{shop}:secret", "&*", "+@all"
        )
    app = app_of(guarded, "narrow:x")
    with pytest.raises(RedisRefused, match="may not touch a key that script namespace_open works on"):
        app.external("ci", id="k")
    app.close()


def line_of(text: str, wanted: str) -> int:
    return next(n for n, line in enumerate(text.splitlines(), 1) if wanted in line)


@pytest.mark.parametrize(
    "text",
    [
        "The user executing the script can't run this command or subcommand script: {sha}, on @user_script:{line}.",
        (
            "Error running script (call to f_{sha}): @user_script:{line}: The user executing the script can't run this"
            " command or subcommand"
        ),
        (
            "ERR The user executing the script can't run this command or subcommand script: x, on"
            " @user_function:{function_line}."
        ),
    ],
)
def test_servers_that_do_not_name_the_command_name_its_line(text: str) -> None:
    script, library = scripts.load("namespace_open"), scripts.as_library()
    wanted = "call('HSETNX', ns .. 'meta', 'format'"
    said = denials.denied(
        "namespace_open",
        text.format(sha=script.sha, line=line_of(script.text, wanted), function_line=line_of(library.text, wanted)),
    )
    assert said == "this user may not run HSETNX in script namespace_open; docs/security.md names the least rights"


def test_another_error_of_a_script_is_no_denial() -> None:
    assert denials.denied("namespace_open", "WRONGTYPE Operation against a key holding the wrong kind of value") is None
