"""Every race has a test, every such test rests on a rule, and a proof is a proof."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from wakeline.store import scripts

from tests.races import document
from tests.races.document import modules
from tests.races.rules import Row, Rule, RuleMoved, fails_without

RACES = range(1, 35)
NAMED = re.compile(r"test_race_(\d\d)_\w+")


def of_races() -> dict[str, list[Row]]:
    """Every test that is named after a race, with its rows."""
    return {
        name: getattr(test, "rows", [])
        for module in modules()
        for name, test in vars(module).items()
        if NAMED.fullmatch(name)
    }


def test_every_race_has_a_test() -> None:
    assert sorted({int(NAMED.fullmatch(name)[1]) for name in of_races()}) == list(RACES)  # type: ignore[index]
    assert list(document.RACES) == list(RACES)


def test_every_test_of_a_race_rests_on_a_rule() -> None:
    assert [name for name, rows in of_races().items() if not any(row.rule for row in rows)] == []


def test_there_are_as_many_proofs_as_there_were() -> None:
    """A floor: rows that are dropped are noticed."""
    assert sum(1 for rows in of_races().values() for row in rows if row.rule) >= 110


PARKS = ("a park is refused where a group is met", "process_park.lua", "<= 0 then return { 'met' } end")


def without(says: str, where: str, text: str, becomes: str = "") -> Rule:
    return Rule(says, where, text, becomes)


def test_a_rule_that_is_taken_out_is_back_afterwards() -> None:
    stands = scripts.load("process_park").sha
    with without(*PARKS, "<= 0 then end").taken_out():
        assert scripts.load("process_park").sha != stands
    assert scripts.load("process_park").sha == stands


@pytest.mark.parametrize("text", ["no such text", "return"])
def test_a_rule_that_is_not_there_exactly_once_is_no_row(text: str) -> None:
    with pytest.raises(RuleMoved), without("it moved", "process_park.lua", text).taken_out():
        pass


def twice(test: Callable[[], None]) -> tuple[object, object]:
    """What a test under `fails_without` raises as it stands and with its rule gone."""
    proven = fails_without(*PARKS, "<= 0 then end")(test)
    raised: list[object] = []
    for row in proven.rows:  # type: ignore[attr-defined]
        try:
            proven(row=row)
        except (Exception, pytest.fail.Exception) as error:
            raised.append(error)
        else:
            raised.append(None)
    return raised[0], raised[1]


def test_a_test_that_passes_without_its_rule_fails_the_suite() -> None:
    def idle() -> None:
        """Rests on nothing."""

    as_it_stands, gone = twice(idle)
    assert as_it_stands is None
    assert "survives the removal of its rule" in str(gone)


def test_a_test_that_fails_without_its_rule_proves_it() -> None:
    stands = scripts.load("process_park").sha

    def rests() -> None:
        assert scripts.load("process_park").sha == stands

    assert twice(rests) == (None, None)


def test_an_error_of_another_kind_is_no_proof() -> None:
    stands = scripts.load("process_park").sha

    def breaks() -> None:
        if scripts.load("process_park").sha != stands:
            raise ZeroDivisionError

    as_it_stands, gone = twice(breaks)
    assert (as_it_stands, type(gone)) == (None, ZeroDivisionError)


def test_an_assertion_inside_the_product_is_no_proof() -> None:
    stands = scripts.load("process_park").sha

    def breaks() -> None:
        if scripts.load("process_park").sha != stands:
            from wakeline.store.replies import refuse

            refuse("p", ["an answer that no reader knows"])

    _, gone = twice(breaks)
    assert "no reader knows" in str(gone)
