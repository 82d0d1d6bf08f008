"""Takes one rule out of the product, so that the suite itself can prove that a race's test rests on it.

A test under `fails_without` runs twice: as the product stands, where it has to pass, and with the rule gone, where it
has to fail. Invariant: what is taken out stands exactly once where the row says; a rule that moved is an error of its
row, never a proof.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import os
import textwrap
import traceback
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from wakeline.store import scripts

TAKEN_OUT = "RACES_TAKEN_OUT"
"""The environment variable by which worker processes of an end-to-end test do without the same rule."""
PRODUCT = [str(Path(__file__).parents[2] / part) for part in ("core", "workers")]


class RuleMoved(Exception):
    """The text of a rule is not where its row says; the row has to follow the product."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule in words, where it stands (``<script>.lua``, ``lib/<fragment>.lua``, ``<module>:<function>``), its text,
    and what is left without it."""

    says: str
    where: str
    text: str
    becomes: str

    def __str__(self) -> str:
        return f"without: {self.says}"

    @property
    def of_the_product(self) -> bool:
        """False for a part of the test itself, such as how it starts a worker."""
        return self.where.endswith(".lua") or self.where.startswith("wakeline")

    @contextmanager
    def taken_out(self) -> Generator[None]:
        """The product without this rule, in this process and in every process that is started meanwhile and asks
        `take_out_as_told`."""
        without = self._script() if self.where.endswith(".lua") else self._function()
        told = {TAKEN_OUT: json.dumps({"here": os.getpid(), "rule": asdict(self)})} if self.of_the_product else {}
        with without, mock.patch.dict(os.environ, told):
            yield

    def _edited(self, source: str) -> str:
        if source.count(self.text) != 1:
            raise RuleMoved(
                f"{self.where} holds {self.text!r} {source.count(self.text)} times, not once; this row is about:"
                f" {self.says}"
            )
        return source.replace(self.text, self.becomes)

    @contextmanager
    def _script(self) -> Generator[None]:
        read = scripts._source
        edited = self._edited(read(self.where))
        try:
            with mock.patch.object(scripts, "_source", lambda path: edited if path == self.where else read(path)):
                scripts.forget()
                yield
        finally:
            scripts.forget()  # now that the rule is back: a client's thread may read them at any moment

    @contextmanager
    def _function(self) -> Generator[None]:
        module_name, _, path = self.where.partition(":")
        module = importlib.import_module(module_name)
        *owners, name = path.split(".")
        owner: Any = functools.reduce(getattr, owners, module)
        stands = inspect.getattr_static(owner, name)
        source = textwrap.dedent(
            inspect.getsource(getattr(stands, "fget", None) or getattr(stands, "func", None) or stands)
        )
        made: dict[str, Any] = {}
        # In the module's own globals, so that what the function calls is what it always called.
        exec(
            compile(self._edited(source), f"<{self}>", "exec", dont_inherit=True, flags=annotations.compiler_flag),
            vars(module),
            made,
        )
        if hasattr(made[name], "__set_name__"):
            made[name].__set_name__(owner, name)
        with mock.patch.object(owner, name, made[name]):
            yield


def fails_without(
    says: str, where: str, text: str, becomes: str = "", *, raises: type[BaseException] = AssertionError
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The test rests on this rule: without it, it fails, by an assertion of its own or by the typed error ``raises``.
    One row each."""
    rule = Rule(says, where, text, becomes)

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        rows: list[Row] | None = getattr(test, "rows", None)
        if rows is not None:
            rows.insert(1, Row(rule, raises))  # decorators are applied from below, rows are read from above
            return test
        return _twice(test, [Row(None, raises), Row(rule, raises)])

    return decorate


@dataclass(frozen=True, slots=True)
class Row:
    """One way to run a test: with every rule, or without one."""

    rule: Rule | None
    raises: type[BaseException]

    def __str__(self) -> str:
        return str(self.rule) if self.rule else "as it stands"


def _twice(test: Callable[..., None], rows: list[Row]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(row: Row, **fixtures: Any) -> None:
        if row.rule is None:
            return test(**fixtures)
        with row.rule.taken_out():
            try:
                test(**fixtures)
            except (
                AssertionError,
                row.raises,
                pytest.fail.Exception,
            ) as error:  # the last: pytest.raises saw nothing raised
                _by_the_test(error)
                print(f"{row}: {type(error).__name__}: {error}")
                return
        pytest.fail(
            f"{test.__name__} survives the removal of its rule: {row.rule.says} ({row.rule.where}: {row.rule.text!r})"
        )

    given = inspect.signature(test)
    own = inspect.Parameter("row", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    run.__signature__ = given.replace(parameters=[own, *given.parameters.values()])  # type: ignore[attr-defined]
    run.rows = rows  # type: ignore[attr-defined]
    return pytest.mark.parametrize("row", rows, ids=str)(run)


def _by_the_test(error: BaseException) -> None:
    """An assertion inside the product is a broken removal, not a proof."""
    last = traceback.extract_tb(error.__traceback__)[-1].filename
    if isinstance(error, AssertionError) and last.startswith(tuple(PRODUCT)):
        raise error


_for_good = ExitStack()


def take_out_as_told(environment: Mapping[str, str] = os.environ) -> None:
    """Does without a rule for the rest of this process, if the test that started it does: called by apps of end-to-end
    tests."""
    if TAKEN_OUT in environment:
        told = json.loads(environment[TAKEN_OUT])
        if told["here"] != os.getpid():
            _for_good.enter_context(Rule(**told["rule"]).taken_out())
