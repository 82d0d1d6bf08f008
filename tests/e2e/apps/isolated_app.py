"""The app of the tests of isolated tools."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from wakeline import App, AsyncCtx, Attachment, NonRetryable, RetryAfter, current
from wakeline.telemetry.instrument import Instrument
from wakeline.telemetry.seen import IsolatedSeen

app = App("isolated")
FOLDER = Path(os.environ.get("ISOLATED_FOLDER", "."))

if "wakeline_workers.isolated" in sys.orig_argv and (FOLDER / "broken").exists():
    if (FOLDER / "broken").read_text() == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    raise ConnectionError("Redis is away")


class Stops(Instrument):
    """Stops a child that has read a call and has not begun it, if it is asked to."""

    def isolated(self, call: IsolatedSeen) -> AbstractContextManager[object]:
        asked = FOLDER / "stop"
        if asked.exists():
            asked.write_text(str(os.getpid()))
            asked.rename(FOLDER / "stopped")
            os.kill(os.getpid(), signal.SIGSTOP)
        return nullcontext()


stops = Stops()


class Price(BaseModel):
    cents: int


@app.tool(isolation="process")
def where(cents: int) -> dict[str, Any]:
    """Where it runs, and what it was given."""
    current().note("seen")
    return {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "cents": cents,
        "attempt": current().attempt,
        "key": len(current().idempotency_key),
    }


@app.tool(isolation="process")
async def priced(cents: int) -> Price:
    return Price(cents=cents)


@app.tool(isolation="process")
def says(text: str) -> int:
    current().emit("log", {"message": text})
    return len(text)


@app.tool(isolation="process")
def says_nonsense() -> None:
    current().emit("undeclared", {})


@app.tool(isolation="process")
def stores(text: str) -> Attachment:
    made: Attachment = current().attachments.put(text.encode(), "text/plain")
    return made


@app.tool(isolation="process", retries=2, backoff=0.01)
def dies(how: str) -> str:
    with (FOLDER / "died").open("a") as file:
        file.write(how + "\n")
    match how:
        case "exit":
            os._exit(7)
        case "segv":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "sys.exit":
            sys.exit("enough")
        case "final":
            raise NonRetryable("no use")
        case "deep":
            return str(deep(0))
        case "circle":
            raise KeyboardInterrupt
    return how


def deep(n: int) -> int:
    return deep(n + 1)


@app.tool(isolation="process", timeout=0.4)
def sleeps_too_long() -> None:
    time.sleep(60)


@app.tool(isolation="process")
def holds_the_interpreter() -> None:
    """C code that never lets go, and a program it started."""
    started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    (FOLDER / "started").write_text(f"{os.getpid()} {started.pid}")
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    re.match(r"(a+)+$", "a" * 64 + "b")


@app.tool(isolation="process")
def waits_politely() -> str:
    (FOLDER / "started").write_text(f"{os.getpid()}")
    token = current().cancellation
    while not token.cancelled:
        time.sleep(0.01)
    return "left when asked"


@app.tool(isolation="process")
def holds(name: str) -> int:
    """Goes on until the file `go` is there; returns the worker that runs it."""
    (FOLDER / f"holds-{name}").write_text(str(os.getppid()))
    while not (FOLDER / "go").exists():
        time.sleep(0.01)
    return os.getppid()


@app.engine
async def nothing(ctx: AsyncCtx) -> None:
    """A body without a call."""


@app.tool(isolation="process")
def pends() -> Any:
    (FOLDER / "token").write_text(current().token)
    return current().pending()


@app.engine
async def calls(ctx: AsyncCtx, cents: int) -> list[Any]:
    """Calls isolated tools from a body: each is a process of its own."""
    return [(await ctx.call(where, cents))["cents"], (await ctx.call(priced, cents)).cents]


@app.tool(isolation="process", timeout=1.5)
def naps(seconds: float) -> str:
    time.sleep(seconds)
    return "rested"


@app.tool(isolation="process")
def forks_and_dies() -> None:
    if os.fork() == 0:
        time.sleep(30)
        os._exit(0)
    os.kill(os.getpid(), signal.SIGKILL)


@app.tool(isolation="process")
def closes_everything() -> None:
    os.closerange(3, 200)
    time.sleep(30)


@app.tool(isolation="process")
def leaves_a_thread() -> str:
    call = current()

    def speaks() -> None:
        time.sleep(0.3)
        call.emit("log", {"message": "late"})

    threading.Thread(target=speaks, daemon=True).start()
    return "done"


@app.tool(isolation="process", retries=1)
def again_later() -> int:
    if current().attempt == 1:
        raise RetryAfter(timedelta(milliseconds=50))
    return current().attempt


@app.tool(isolation="process")
def gives_up() -> None:
    raise TimeoutError("no answer")


@app.tool(isolation="process")
def leaks(mb: int) -> int:
    kept.append(bytearray(mb * 1024 * 1024))
    return os.getpid()


kept: list[bytearray] = []
