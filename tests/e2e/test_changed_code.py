"""Code that changes under processes: real workers of an old release, of a new one that does not fit, and of the old one
again."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from wakeline import App
from wakeline.embedded import PrivateServer
from wakeline.settings import Settings

from tests.e2e.shop import MODULE, until

HEAD = """
import os
from wakeline import App, AsyncCtx, Ctx, AsyncTurn
app = App("changed")
def did(text):
    with open(os.environ["DID"], "a") as file:
        file.write(text + "\\n")
@app.tool
def charge(cents: int) -> int:
    did(f"charge {cents}")
    return cents
"""
OLD = (
    HEAD
    + """
S = {"go": int}
@app.tool
def typed() -> str:
    return "text"
@app.tool(queue="later")
def later(x: int) -> int:
    return x
@app.engine(signals=S)
def recorded(ctx: Ctx) -> int:
    return ctx.call(charge, 100) + ctx.wait("go", int)
@app.engine(signals=S)
def new_argument(ctx: Ctx, x: int) -> int:
    return ctx.wait("go", int) + x
@app.engine(signals=S)
def lost_argument(ctx: Ctx, x: int) -> int:
    return ctx.wait("go", int) + x
@app.engine(signals=S)
def narrowed(ctx: Ctx, x: str) -> int:
    return ctx.wait("go", int)
@app.engine(signals=S)
def result_type(ctx: Ctx) -> int:
    ctx.call(typed)
    return ctx.wait("go", int)
@app.engine(signals=S)
def signal_type(ctx: Ctx) -> int:
    return ctx.wait("go", int)
@app.engine(signals=S)
def no_event(ctx: Ctx) -> int:
    return ctx.wait("go", int)
@app.engine(signals=S)
def a_bug(ctx: Ctx) -> int:
    return ctx.wait("go", int)
@app.engine(signals=S)
def no_import(ctx: Ctx) -> int:
    return ctx.wait("go", int)
@app.engine(signals=S)
def gone(ctx: Ctx) -> int:
    return ctx.wait("go", int)
"""
)
NEW = (
    HEAD
    + """
S = {"go": int}
@app.tool
def typed() -> int:
    return 1
@app.tool(queue="later")
def later(x: int, y: int) -> int:
    return x
@app.engine(signals=S)
def recorded(ctx: Ctx) -> int:
    return ctx.call(charge, 101) + ctx.wait("go", int)
@app.engine(signals=S)
def new_argument(ctx: Ctx, x: int, y: int) -> int:
    return 0
@app.engine(signals=S)
def lost_argument(ctx: Ctx) -> int:
    return 0
@app.engine(signals=S)
def narrowed(ctx: Ctx, x: int) -> int:
    return 0
@app.engine(signals=S)
def result_type(ctx: Ctx) -> int:
    ctx.call(typed)
    return 0
@app.engine(signals={"go": str})
def signal_type(ctx: Ctx) -> str:
    return ctx.wait("go", str)
@app.engine(signals=S)
def no_event(ctx: Ctx) -> int:
    ctx.wait("go", int)
    return ctx.emit("fresh", 1)
@app.engine(signals=S)
def a_bug(ctx: Ctx) -> int:
    ctx.wait("go", int)
    ctx.defer(did, "compensated")
    return oops
@app.engine(signals=S)
def no_import(ctx: Ctx) -> int:
    ctx.wait("go", int)
    import nowhere_to_be_found
"""
)
ARGUMENTS = {"new_argument": {"x": 1}, "lost_argument": {"x": 1}, "narrowed": {"x": "word"}, "later": {"x": 5}}
FOUND = {
    "recorded": ("mismatch", "call:charge, args.cents: recorded 100, asked for 101"),
    "new_argument": ("unreadable", "The arguments do not fit new_argument: missing a required argument: 'y'."),
    "lost_argument": ("unreadable", "The arguments do not fit lost_argument: got an unexpected keyword argument 'x'."),
    "narrowed": ("unreadable", "argument x of narrowed is not usable as JSON: value: Input should be a valid integer"),
    "later": ("unreadable", "The arguments do not fit later: missing a required argument: 'y'."),
    "result_type": ("unreadable", "The result of typed is not usable as JSON: value: Input should be a valid integer"),
    "signal_type": ("unreadable", "signal go is not usable as JSON: value: Input should be a valid string."),
    "no_event": ("bug", "Process 'no_event' does not declare 'fresh'"),
    "a_bug": ("bug", "NameError: name 'oops' is not defined"),
    "no_import": ("bug", "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
    "gone": ("missing", "No engine is named 'gone'"),
}
RESULTS = {"recorded": 105, "new_argument": 6, "lost_argument": 6}


@pytest.fixture
def releases(tmp_path: Path) -> Path:
    for name, source in (("v1", OLD), ("v2", NEW)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "changed.py").write_text(source)
    (tmp_path / "did").touch()
    return tmp_path


def env_of(server: PrivateServer, releases: Path, release: str) -> dict[str, str]:
    clean = {
        name: value
        for name, value in os.environ.items()
        if name == "WAKELINE_LOG_FORMAT" or not name.startswith("WAKELINE_")
    }
    paths = os.pathsep.join([str(releases / release), os.environ.get("PYTHONPATH", "")])
    own = {
        "WAKELINE_REDIS_URL": server.url,
        "WAKELINE_APP": "changed:app",
        "WAKELINE_RELEASE": release,
        "WAKELINE_HOLD": "50ms",
    }
    return clean | own | {"DID": str(releases / "did"), "PYTHONPATH": paths}


@contextmanager
def worker(server: PrivateServer, releases: Path, release: str) -> Iterator[None]:
    with (releases / f"{release}.log").open("a") as log:
        running = subprocess.Popen([*MODULE, "worker"], env=env_of(server, releases, release), stdout=log, stderr=log)
        try:
            yield
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait(40)


def said(server: PrivateServer, releases: Path, *words: str, code: int = 0) -> str:
    done = subprocess.run(
        [*MODULE, *words], env=env_of(server, releases, "v2"), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def test_what_a_release_does_not_fit_waits_named_and_the_old_release_finishes_it_without_repeating_anything(
    server: PrivateServer, releases: Path
) -> None:
    app = App("changed", settings=Settings(url=server.url))
    parked = [name for name in FOUND if name != "later"]
    try:
        with worker(server, releases, "v1"):
            for name in parked:
                said_in_v1 = subprocess.run(
                    [*MODULE, "start", name, re.sub("'", '"', str(ARGUMENTS.get(name, {}))), "--id", name],
                    env=env_of(server, releases, "v1"), capture_output=True, text=True, timeout=60, check=False,
                )  # fmt: skip
                assert said_in_v1.returncode == 0, said_in_v1.stderr
            until(lambda: all(app.handle(name).status().status == "waiting" for name in parked), 60)
        old = env_of(server, releases, "v1")
        subprocess.run(
            [*MODULE, "start", "later", '{"x": 5}', "--id", "later"],
            env=old,
            capture_output=True,
            timeout=60,
            check=True,
        )
        for name in parked:
            app.handle(name).signal("go", 5)
        with worker(server, releases, "v2"):
            until(lambda: all(app.handle(name).status().misfit is not None for name in FOUND), 60)
        for name, (kind, what) in FOUND.items():
            misfit = app.handle(name).status().misfit
            assert misfit is not None
            assert (misfit.kind, misfit.what.startswith(what), misfit.release) == (kind, True, "v2"), misfit.what
        listed = said(server, releases, "ps", "--status", "queued")
        awaited = r"code that fits \(mismatch\): call:charge, args\.cents: recorded 100, asked for 101"
        assert re.search(rf"recorded +queued +recorded +\S+ +{awaited}", listed), listed
        shown = said(server, releases, "show", "a_bug")
        bug = (
            "release v2 fails where release v1 went on: NameError: name 'oops' is not defined. Roll"
            " back, or deploy a fix."
        )
        assert f"misfit           {bug} (since " in shown
        doctor = said(server, releases, "doctor", code=1)
        assert (
            "problem  recorded of engine 'recorded' waits for code that fits; release v2 does something else than"
            " release v1 recorded: call:charge, args.cents: recorded 100, asked for 101. Roll back, or deploy code"
            " that does what is recorded: put the new path behind ctx.patched(), use was= for a renamed thing, or"
            " declare a version beside. `wakeline cancel` ends what should not wait" in doctor.splitlines()
        )
        with worker(server, releases, "v1"):
            results = {name: app.handle(name).result(timeout=60) for name in FOUND}
        assert results == {name: RESULTS.get(name, 5) for name in FOUND}
        assert (releases / "did").read_text().split("\n") == ["charge 100", ""]
        assert app.handle("recorded").status().misfit is None
    finally:
        app.close()
