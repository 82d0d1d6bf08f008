"""What becomes of the work-horse of a stock worker that was killed. RQ forks it for one job, and only its worker would
end it.

Invariant: while Redis answers, it runs its job to the end, because it has its own heartbeat. If Redis does not answer,
it leaves once its lease is over.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Any, cast

from rq.job import Job
from wakeline.app import App
from wakeline.errors import StoreError
from wakeline.shown import logger
from wakeline.store.connection import typed_errors

from wakeline_workers.said import say

log = logger("wakeline.worker")
LOOK_S = 0.5
"""How often a work-horse looks whether its worker lives, and, without a worker, whether Redis answers. In seconds."""


def leave_without_worker(app: App, job: Job | None) -> None:
    """If this process is a work-horse, it ends itself once its worker is gone and its lease is over. This holds until
    its end."""
    # RQ sets this variable for processes that it forks or spawns, and they pass it on. A worker that runs its jobs in
    # its own process has another name.
    if job is not None and os.environ.get("RQ_WORKER_ID") == job.worker_name:
        threading.Thread(target=_watch, args=(app, os.getppid()), name="wakeline-orphan", daemon=True).start()


def _watch(app: App, worker: int) -> None:
    while os.getppid() == worker:
        time.sleep(LOOK_S)
    answers = _Answers(app)
    threading.Thread(target=answers.ask, name="wakeline-orphan-asks", daemon=True).start()
    while time.monotonic() - answers.latest_s < app.settings.lease_ms / 1000:
        time.sleep(LOOK_S)
    # It holds nothing any more, and Redis may never answer its last writes.
    say(
        f"process {os.getpid()} has lost its worker, and Redis does not answer: it ends now; what it ran is handed on"
        " once its lease is over"
    )
    os._exit(1)


class _Answers:
    """When Redis answered last. A separate thread asks, because an answer that does not come may take longer than a
    lease."""

    def __init__(self, app: App) -> None:
        self._store = app.store
        self.latest_s = time.monotonic()

    def ask(self) -> None:
        """Asks without an end."""
        while True:
            try:
                with typed_errors("PING"):
                    cast("Any", self._store.client).ping()
                self.latest_s = time.monotonic()
            except StoreError as error:
                log.debug("Redis is asked again: %s", error)
            time.sleep(LOOK_S)
