"""DBOS on Postgres, which it recommends for production: every commit is flushed (``synchronous_commit=on``), pools as
DBOS sets them. Otherwise as `dbos`."""

from __future__ import annotations

import sqlalchemy

from benchmarks.peers import work
from benchmarks.peers.dbos import main


def engine() -> sqlalchemy.Engine:
    """The same database for the client's transactions."""
    return sqlalchemy.create_engine(work.POSTGRES.replace("postgresql:", "postgresql+psycopg:"))


if __name__ == "__main__":
    main("dbos_postgres", engine, lambda: {"name": "peer", "system_database_url": work.POSTGRES})
