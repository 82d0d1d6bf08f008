"""What tells the code of two deployments apart: the names of their bodies, and the files that these stand in."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from wakeline.app import App
from wakeline.engines.build import build_of

CODE = """
from wakeline import App, Ctx
app = App("shop")
CENTS = 500

@app.tool
def charge(order: int) -> int:
    return CENTS

@app.engine
def refund(ctx: Ctx) -> None:
    ctx.call(charge, 1)
"""


def build(folder: Path, code: str) -> str:
    folder.mkdir()
    (folder / "built_app.py").write_text(code)
    spec = importlib.util.spec_from_file_location("built_app", folder / "built_app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    app: App = module.app
    return build_of(app.registry)


def test_the_same_files_elsewhere_are_the_same_build(tmp_path: Path) -> None:
    first = build(tmp_path / "one", CODE)
    assert first == build(tmp_path / "two", CODE)
    assert len(first) == 8


def test_another_body_version_or_line_beside_it_is_another_build(tmp_path: Path) -> None:
    codes = [
        CODE,
        CODE.replace("500", "501"),
        CODE.replace("@app.engine", '@app.engine(version="2")'),
        CODE.replace("def charge", "def pay"),
    ]
    codes[3] = codes[3].replace("ctx.call(charge", "ctx.call(pay")
    assert len({build(tmp_path / str(n), code) for n, code in enumerate(codes)}) == 4


def test_an_app_without_bodies_and_code_without_a_file_have_a_build(tmp_path: Path) -> None:
    app = App("shop")
    empty = build_of(app.registry)
    made: dict[str, object] = {"app": app}
    exec(compile("@app.tool\ndef typed_in(n: int) -> int:\n    return n\n", "<stdin>", "exec"), made)  # noqa: S102 - as a shell does
    assert len({empty, build_of(app.registry)}) == 2
