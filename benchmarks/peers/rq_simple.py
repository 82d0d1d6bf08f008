"""RQ without its fork (``SimpleWorker``): its fastest worker, in which a job that dies takes the worker with it.
Otherwise as `rq`."""

from __future__ import annotations

from benchmarks.peers import work
from benchmarks.peers.rq import client, workers

if __name__ == "__main__":
    work.main(workers("rq.worker.SimpleWorker"), client)
