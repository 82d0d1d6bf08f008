"""DBOS on SQLite: durable workflows, two executors on one queue.

The database is in WAL mode with ``synchronous=NORMAL``, which is as safe as an AOF that is flushed every second:
nothing is lost when processes die, the last moment may be when the machine does. (Its own default flushes at every
commit; for production it recommends Postgres: `dbos_postgres`.) Rates: enqueued a hundred to a transaction, the queue
looked at every ten milliseconds (a second by default). Idle delay: started in the sending process, which is its usual
and its fastest way; through the queue it would be the queue's timer.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from secrets import token_hex
from typing import Any

import sqlalchemy
from dbos import DBOS, DBOSClient, DBOSConfig

from benchmarks.peers import work

QUEUE = "peer"
BATCH = 100


@DBOS.workflow(name="nothing")
def nothing() -> None:
    """The no-op."""
    work.nothing()


@DBOS.workflow(name="began")
def began(sent: float) -> None:
    """The one whose delay is measured."""
    work.began(sent)


@DBOS.step()
def one_step(n: int) -> int:
    """A step that returns its number."""
    return n


@DBOS.workflow(name="ten_steps")
def ten_steps() -> int:
    """Ten recorded steps, one after the other."""
    total = sum(one_step(n) for n in range(10))
    work.nothing()
    return total


@DBOS.workflow(name="waits")
def waits() -> None:
    """Waits for its message. It keeps a thread of its executor meanwhile: DBOS parks nothing."""
    work.parks()
    DBOS.recv("go", timeout_seconds=3600)
    work.nothing()


def engine() -> sqlalchemy.Engine:
    """The system database, with what DBOS sets on its own connections and the write-ahead log."""
    made = sqlalchemy.create_engine(f"sqlite:///{work.FOLDER}/dbos.sqlite")

    @sqlalchemy.event.listens_for(made, "connect")
    def settings(connection: Any, _: Any) -> None:
        connection.isolation_level = "IMMEDIATE"
        for pragma in ("busy_timeout=30000", "foreign_keys=ON", "journal_mode=WAL", "synchronous=NORMAL"):
            connection.execute(f"PRAGMA {pragma}")

    return made


def launch(name: str, queues: list[str], database: DBOSConfig) -> None:
    """An executor that serves queues."""
    DBOS(config={**database, "executor_id": name, "application_version": "1", "log_level": "ERROR"})
    DBOS.listen_queues(queues)
    DBOS.launch()
    DBOS.register_queue(QUEUE, polling_interval_sec=0.01)


def client(own: sqlalchemy.Engine, database: DBOSConfig) -> dict[str, Callable[[int], object]]:
    """How workflows are sent; transactions are those of an engine of the client's own."""
    launch("client", [], database)
    sender = DBOSClient(system_database_engine=own)
    ids: list[str] = []

    def many(name: str, n: int) -> None:
        ids[:] = [token_hex(8) for _ in range(n)]
        for at in range(0, n, BATCH):
            with own.begin() as transaction:
                for one in ids[at : at + BATCH]:
                    asked = {"queue_name": QUEUE, "workflow_name": name, "app_version": "1", "workflow_id": one}
                    sender.enqueue_in_transaction(transaction, asked)

    def signal(n: int) -> None:
        for one in ids:
            sender.send(one, True, "go")

    return {
        "many": lambda n: many("nothing", n),
        "one": lambda _: DBOS.start_workflow(began, time.time()),
        "steps": lambda n: many("ten_steps", n),
        "park": lambda n: many("waits", n),
        "signal": signal,
    }


def main(module: str, engine: Callable[[], sqlalchemy.Engine], database: Callable[[], DBOSConfig]) -> None:
    """The processes of a module, whose database is given in two ways: to the client, and as settings of DBOS."""
    if sys.argv[1] == "worker":
        launch(f"worker-{os.getpid()}", [QUEUE], database())
        threading.Event().wait()
    else:
        work.main([["-m", f"{__package__}.{module}", "worker"]] * work.PROCESSES, lambda: client(engine(), database()))


if __name__ == "__main__":
    main("dbos", engine, lambda: {"name": "peer", "system_database_engine": engine()})
