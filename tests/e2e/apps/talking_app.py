"""The app of the tests of a worker in a terminal."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import FrameType

from wakeline import App, Ctx
from wakeline.settings import Settings

app = App("talking", settings=replace(Settings.from_env(), lease_ms=900, beat_ms=300))


@app.engine
def talks(ctx: Ctx) -> str:
    with Path(os.environ["TALKING_NOTES"]).open("a", encoding="utf-8") as notes:
        notes.write("began\n")
    for n in range(30):
        print("line", n, "of the body")  # noqa: T201
        sys.stdout.buffer.write(b"caf\xe9\n")
        sys.stdout.flush()
        os.write(1, b"below Python\n")
        time.sleep(0.1)
    subprocess.run([sys.executable, "-c", "print('of a process that it started')"], check=True)
    return sys.stdin.read()


@app.tool
async def ends_the_loop() -> None:
    def raises(_: int, interrupted: FrameType | None) -> None:
        # Only where the loop waits (uvloop's has no frame of its own): raised inside a callback or a __del__, it would
        # be swallowed.
        if interrupted is not None and interrupted.f_code.co_filename.endswith(("selectors.py", "runners.py")):
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise ValueError("alarm")

    threading.Thread(target=time.sleep, args=(1000,)).start()  # and leaves something behind that does not end
    signal.signal(signal.SIGALRM, raises)
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    await asyncio.get_running_loop().create_future()


@app.tool
def sits() -> None:
    with Path(os.environ["TALKING_NOTES"]).open("a", encoding="utf-8") as notes:
        notes.write("sat down\n")
    time.sleep(60)


@app.tool(isolation="process")
def apart() -> str:
    print("of an isolated tool")  # noqa: T201
    return "done"
