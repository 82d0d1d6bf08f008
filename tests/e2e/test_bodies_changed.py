"""Deploys that change a body, with real workers and code that really changes: what was done is not done again, under
any new name."""

from __future__ import annotations

import time

import pytest

from tests.e2e.shop import until
from tests.e2e.test_tools_redeclared import Site, site

__all__ = ["site"]

BODY = """

@app.tool({options})
def {tool}(n: int) -> str:
    note("mail")
    return "sent"


@app.tool
def stamp(n: int) -> str:
    note("stamp")
    return "stamped"


@app.engine(name="order", signals={{"go": bool}})
def order(ctx: Ctx, n: int) -> str:
    {first}
    ctx.call({tool}, n)
    ctx.wait("go")
    ctx.call(stamp, n)
    return "done"
"""
V1 = BODY.format(tool="mailer", options="", first="pass")
CHANGED = {
    "a tool is renamed": BODY.format(tool="send_mail", options="", first="pass"),
    "a call is inserted": BODY.format(tool="mailer", options="", first="ctx.call(stamp, 0)"),
}


@pytest.mark.parametrize("change", CHANGED)
def test_another_branch_does_nothing_and_code_that_fits_goes_on(site: Site, change: str) -> None:
    before, _ = site.release("v1", V1), site.release("v2", CHANGED[change])
    handle = before.app.using(id="p").start(before.order, 7)
    with site.worker("v1"):
        until(lambda: handle.status().status == "waiting", 60)
    with site.worker("v2"):
        handle.signal("go", True)
        time.sleep(2)
        assert {name: len(keys) for name, keys in site.made.items()} == {"mail": 1}
        assert handle.status().status in ("queued", "running")
    with site.worker("v1"):
        assert handle.result(timeout=60) == "done"
    assert {name: len(keys) for name, keys in site.made.items()} == {"mail": 1, "stamp": 1}


def test_a_rename_that_is_said_goes_on_at_once(site: Site) -> None:
    before, _ = (
        site.release("v1", V1),
        site.release("v2", BODY.format(tool="send_mail", options="was=['mailer']", first="pass")),
    )
    handle = before.app.using(id="p").start(before.order, 7)
    with site.worker("v1"):
        until(lambda: handle.status().status == "waiting", 60)
    with site.worker("v2"):
        handle.signal("go", True)
        assert handle.result(timeout=30) == "done"
    assert {name: len(keys) for name, keys in site.made.items()} == {"mail": 1, "stamp": 1}
