"""The scripts of the release before, as its wheel has them: what its workers and clients would run on the store of a
test."""

from __future__ import annotations

import json
import sys
import zipfile
from functools import cache
from importlib import util
from pathlib import Path
from typing import Any, TypeVar

from wakeline.store.calls import Call

from tests.lua.world import World

T = TypeVar("T")
WHEEL = sorted((Path(__file__).parent / "releases").glob("*.whl"))[-1]


@cache
def _scripts() -> Any:
    """The module of that release that makes the texts of its scripts; it reads them from the wheel."""
    folder = zipfile.Path(WHEEL, "wakeline/store/")
    spec = util.spec_from_loader("wakeline_before_scripts", None)
    assert spec is not None
    module: Any = util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look there
    exec(compile((folder / "scripts.py").read_text(encoding="utf-8"), "scripts.py", "exec"), module.__dict__)  # noqa: S102
    module.files = lambda _: folder
    return module


def do(world: World, call: Call[T]) -> T:
    """One call as a client or worker of that release makes it. It has to know the arguments."""
    text = _scripts().load(call.script).text
    args = json.dumps({name: value for name, value in call.args.items() if value is not None})
    prefix = world.store.address.prefix
    reply = world.redis.eval(
        text, 1, f"{prefix}meta", world.clock.script_time(), prefix, f"rq-{world.ns}", "", "0", args
    )
    return call.decode(reply)
