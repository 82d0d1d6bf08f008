"""A worker as RQ sees it, in ``rq info``, ``Worker.all()`` and ``rq worker -w wakeline_workers.worker.WakelineWorker``.

Invariant: RQ's name of a worker is its owner id. RQ writes the worker's birth. The scripts that take, end and hand back
work also keep its state, counters, executions and end, so the two cannot disagree.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, cast

from rq.serializers import JSONSerializer
from rq.worker import BaseWorker
from wakeline.app import App
from wakeline.errors import SettingsInvalid
from wakeline.names import new_owner_id

from wakeline_workers.heartbeat import Heartbeat
from wakeline_workers.leaving import Deadline
from wakeline_workers.loading import load_for_work
from wakeline_workers.loop import WorkerLoop
from wakeline_workers.signals import ignore_ending_on, on_ending

_Base: Any = BaseWorker  # RQ ships without complete types


class WakelineWorker(_Base):  # type: ignore[misc]
    """An RQ worker that takes doorbells in batches and runs their processes concurrently on one event loop.

    ``WAKELINE_APP`` names the app. RQ's own options for retries, schedulers and job timeouts have no effect.
    """

    name: str

    def __init__(self, queues: Any, name: str | None = None, **options: Any) -> None:
        # Owner ids are random per start: with a name that is used again, a new worker would inherit a dead one's work.
        # RQ reads records of other workers through this class too, and those keep their names.
        reading = name is not None and not options.get("prepare_for_work", True)
        given: Any = options | {"serializer": JSONSerializer}
        cast("Any", BaseWorker).__init__(self, queues, name if reading else str(new_owner_id()), **given)

    @classmethod
    def of(cls, app: App, owner: str, queues: Sequence[str]) -> WakelineWorker:
        """The worker of an owner id, on its own connection, because RQ changes the pool that it is given."""
        worker = cls(list(queues), connection=app.backend.for_rq(), default_worker_ttl=None)
        worker.name = owner
        return worker

    def announce(self) -> None:
        """Registers this start with RQ and closes RQ's connection. From then on only our scripts write."""
        self.register_birth()
        self.set_state("idle")
        self.connection.close()

    def work(
        self,
        burst: bool = False,
        logging_level: str | None = None,
        with_scheduler: bool = False,
        max_jobs: int | None = None,
        **_: Any,
    ) -> bool:
        """RQ's entry point: serves until SIGTERM or SIGINT (or, in burst mode, until nothing is left); True when
        anything ran.

        Raises `SettingsInvalid` for the options of ``rq worker`` that cannot work with processes that wait.
        """
        if with_scheduler:
            raise SettingsInvalid(
                name="--with-scheduler", value="true", reason="timers are part of every worker here; leave it out"
            )
        if max_jobs is not None:
            raise SettingsInvalid(
                name="--max-jobs",
                value=str(max_jobs),
                reason="a doorbell is no job; restart workers by SIGTERM instead",
            )
        app = load_for_work()
        ran = 0
        while True:
            loop = WorkerLoop(app, owner=self.name, queues=self.queue_names(), burst=burst, counts=app.settings.metrics)
            ran += asyncio.run(serve(loop, beating=True, first=self.announce))
            if not loop.reaped:
                return ran > 0
            # It looked dead, and its work was given away. Nothing may go on under that id.
            self.name = str(new_owner_id())


async def serve(worker: WorkerLoop, *, beating: bool, first: Callable[[], None] = lambda: None) -> int:
    """Serves a worker loop until SIGTERM or SIGINT. ``beating``: a thread of this process beats, because there is no
    supervisor.

    ``first`` makes the worker visible. It is called once the signals are handled, because an operator who sees a worker
    may end it.
    """
    running = asyncio.get_running_loop()
    with ExitStack() as stack:
        deadline = stack.enter_context(Deadline(worker.app.settings.shutdown_ms))

        def leave() -> None:
            deadline.start()
            worker.stop()

        on_ending(running, leave)
        stack.callback(ignore_ending_on, running)
        first()
        if beating:
            stack.enter_context(Heartbeat.of(worker, running))
        return await worker.serve()
