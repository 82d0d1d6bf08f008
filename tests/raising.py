"""A plugin for pytest: every app of the run has an instrument that raises in all that it is told.

``pytest -p tests.raising tests/scenario``: what instruments raise must change no test. Tests of instruments themselves
are left out.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest
from wakeline import App
from wakeline.telemetry.instrument import Instrument

ABOUT_INSTRUMENTS = ("test_instruments", "test_opentelemetry", "test_sentry", "test_headers", "test_metrics")


class Raises(Instrument):
    """Raises in every method: at the beginning of each second stretch, at the end of the others."""

    def __init__(self) -> None:
        self._told = 0

    @contextmanager
    def _around(self, seen: Any) -> Generator[Any]:
        self._told += 1
        if self._told % 2:
            raise SystemExit(7)
        yield {"traceparent": "x" * 2_000}
        raise RuntimeError("at its end")

    def _at_once(self, *seen: Any) -> None:
        raise SystemExit(8)

    sending = run = effect = stretch = isolated = _around
    point = ended = ran = tried = waited = script = taken = ticked = beat = lost = leaving = blocked = _at_once


def pytest_configure(config: pytest.Config) -> None:
    """Each app that is made from now on has one."""
    plain = App.__init__
    logging.getLogger("wakeline.telemetry").disabled = True  # tests count what is logged, and this says each failure

    def made(app: App, *args: Any, **kwargs: Any) -> None:
        plain(app, *args, **kwargs)
        app.observe(Raises())

    App.__init__ = made  # type: ignore[method-assign]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of instruments themselves have their own."""
    items[:] = [item for item in items if not item.path.stem.startswith(ABOUT_INSTRUMENTS)]
