"""An app found by name knows the bodies of every module it includes, or says which module failed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from wakeline.errors import AppNotFound, BodyInvalid, WakelineError
from wakeline_workers.loading import load_app

APP = "from wakeline import App\napp = App('shop')\napp.include('shop_tasks')\n"
TASKS = "from shop import app\n@app.tool\ndef pay(cents: int) -> int:\n    return cents\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    known = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delenv("WAKELINE_APP", raising=False)
    yield tmp_path
    for name in set(sys.modules) - known:
        del sys.modules[name]


def write(folder: Path, **modules: str) -> None:
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")


def test_included_modules_are_imported_when_the_app_is_loaded(folder: Path) -> None:
    write(folder, shop=APP, shop_tasks=TASKS)
    assert list(load_app("shop:app").registry.tools) == ["pay"]


def test_the_environment_names_the_app_where_nothing_is_given(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, shop=APP, shop_tasks=TASKS)
    monkeypatch.setenv("WAKELINE_APP", "shop:app")
    assert load_app().namespace == "shop"


def test_an_included_module_may_include_others(folder: Path) -> None:
    write(folder, shop=APP, shop_tasks="from shop import app\napp.include('more_tasks')\n", more_tasks=TASKS)
    assert list(load_app("shop:app").registry.tools) == ["pay"]


def test_importing_an_app_does_not_import_what_it_includes(folder: Path) -> None:
    write(folder, shop=APP)
    import shop  # type: ignore[import-not-found]

    assert shop.app.included == ("shop_tasks",)


@pytest.mark.parametrize(
    ("tasks", "reason"),
    [
        (None, "it includes shop_tasks: No module named 'shop_tasks'"),
        (
            "import nosuch\n",
            "importing shop_tasks raised ModuleNotFoundError at shop_tasks.py:1: No module named 'nosuch'",
        ),
        ("\nprice = 1 / 0\n", "importing shop_tasks raised ZeroDivisionError at shop_tasks.py:2: division by zero"),
        (
            "price = (\n",
            "importing shop_tasks raised SyntaxError at shop_tasks.py:1: '(' was never closed (shop_tasks.py, line 1)",
        ),
    ],
)
def test_the_included_module_that_failed_is_named(folder: Path, tasks: str | None, reason: str) -> None:
    write(folder, shop=APP, **({"shop_tasks": tasks} if tasks else {}))
    with pytest.raises(AppNotFound) as raised:
        load_app("shop:app")
    fields = raised.value.fields
    assert (fields["target"], fields["reason"]) == ("shop:app", reason)


def test_a_body_of_an_included_module_that_cannot_be_one_says_so_itself(folder: Path) -> None:
    write(folder, shop=APP, shop_tasks="from shop import app\n@app.engine\ndef wrong() -> None: ...\n")
    with pytest.raises(BodyInvalid, match="wrong cannot be a body"):
        load_app("shop:app")


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("", "none was named"),
        ("shop", "the name has no module and attribute around a colon"),
        ("nosuch:app", "No module named 'nosuch'"),
        ("shop:nosuch", "module 'shop' has no attribute 'nosuch'"),
        ("shop:price", "price is a int, not an App"),
    ],
)
def test_an_app_that_is_not_there_says_why(folder: Path, target: str, reason: str) -> None:
    write(folder, shop="price = 1\n")
    with pytest.raises(WakelineError) as raised:
        load_app(target)
    fields = raised.value.fields
    assert (fields["target"], fields["reason"]) == (target, reason)
