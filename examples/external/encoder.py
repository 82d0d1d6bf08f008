"""The machine that does the work: ``python -m examples.external.encoder tide``. It needs the address of Redis, and is
no worker.

Each report has a key: a machine that is not sure whether its report arrived sends it again, and it counts once.
"""

from __future__ import annotations

import sys

from examples.external.app import encoding

CHAPTERS = 2


def main(film: str) -> None:
    work = encoding(film)
    for number in range(1, CHAPTERS + 1):
        work.emit("chapter", {"number": number, "of": CHAPTERS}, key=f"chapter-{number}")
    if film == "torn":
        work.fail("unreadable", "the reel is torn")
    else:
        work.finish({"minutes": 41})
    print(work.id, work.status().status)


if __name__ == "__main__":
    main(sys.argv[1])
