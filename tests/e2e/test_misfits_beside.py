"""Two releases side by side, with real workers: what one cannot go on with is run by the other at once, however few
workers that one has."""

from __future__ import annotations

import time

from tests.e2e.shop import until
from tests.e2e.test_bad_releases import worker
from tests.e2e.test_tools_redeclared import Site, site

__all__ = ["site"]

BODY = """
def told(what):
    with open(os.environ["SHOP_NOTES"], "a") as notes:
        notes.write(f"{{what}}\\n")


@app.tool
def pay(n: int) -> int:
    told("paid")
    return n


@app.engine(name="order", signals={{"go": int}})
async def order(ctx: AsyncCtx, n: int) -> str:
    await ctx.call(pay, n + {more})
    try:
        await ctx.wait("go", int)
    except WaitCancelled:
        told("cleaned")
        raise
    return "ended"
"""
IMPORTS = "from wakeline import AsyncCtx, WaitCancelled\n"


def test_one_worker_of_the_release_that_fits_ends_all_beside_four_of_one_that_does_not(site: Site) -> None:
    good, _ = (site.release(name, IMPORTS, BODY.format(more=more)) for name, more in (("v1", 0), ("v2", 1000)))
    handles = [good.app.using(id=f"p{n}").start(good.order, n) for n in range(16)]
    with worker(site, "v1", "-n", "1"):
        until(lambda: all(handle.status().status == "waiting" for handle in handles), 60)
    with worker(site, "v2", "-n", "4"):
        for handle in handles:
            handle.signal("go", 1)
        until(lambda: all((found := handle.status().misfit) is not None and found.looks >= 3 for handle in handles), 90)
        with worker(site, "v1", "-n", "1"):
            began = time.monotonic()
            assert [handle.result(timeout=60) for handle in handles] == ["ended"] * 16
            assert time.monotonic() - began < 30
    assert site.notes.read_text().split() == ["paid"] * 16


def test_a_cancel_beside_a_release_that_does_not_fit_runs_the_cleanup_of_the_one_that_does(site: Site) -> None:
    """What comes of it with real workers. It holds without the rule that each release looks once, too, as the looks are
    then left to chance within the grace: tests/lua/test_releases_beside.py holds the rule for a cancel."""
    good, _ = (site.release(name, IMPORTS, BODY.format(more=more)) for name, more in (("v1", 0), ("v2", 1000)))
    handles = [good.app.using(id=f"p{n}").start(good.order, n) for n in range(8)]
    with worker(site, "v1", "-n", "1"):
        until(lambda: all(handle.status().status == "waiting" for handle in handles), 60)
        with worker(site, "v2", "-n", "4"):
            for handle in handles:
                handle.cancel("no more")
            until(lambda: all(handle.status().status == "cancelled" for handle in handles), 60)
    assert site.notes.read_text().split().count("cleaned") == 8
