"""What a run reads of its journal before its body begins: in parts, and once."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from wakeline.effects.envelope import Envelope
from wakeline.effects.journal import JournalRow
from wakeline.errors import JournalCorrupt
from wakeline.run import records
from wakeline.store.claims import Claim, claims_of

from benchmarks.app import nothing
from benchmarks.python_cost import Bench, made


def text_of(n: int) -> str:
    envelope = Envelope("step", "one", n)
    return JournalRow.of(n, envelope, envelope.digest, f"outcome {n}", None, 1_700_000_000_000).to_json()


def claimed(journal: dict[str, str]) -> Claim:
    async def claim() -> Claim:
        [row] = Bench(made()).claimed(nothing, 1)
        flat = [part for entry in journal.items() for part in entry]
        [found] = claims_of([[*row, "", flat, [], "1"]])
        return found

    return asyncio.run(claim())


def test_of_a_long_journal_1024_rows_are_read_in_one_turn_of_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    claim = claimed({f"one:{n}": text_of(n) for n in range(1, 3_001)})
    read: Counter[int] = Counter()
    turn = 0
    row_of = records.row_of

    def counted(*args: Any) -> JournalRow:
        read[turn] += 1
        return row_of(*args)

    async def rows() -> dict[str, JournalRow]:
        loop = asyncio.get_running_loop()

        def next_turn() -> None:
            nonlocal turn
            turn += 1
            loop.call_soon(next_turn)

        next_turn()
        return await records.rows_of(claim)

    monkeypatch.setattr(records, "row_of", counted)
    found = asyncio.run(rows())
    assert [row.outcome for row in found.values()] == [f"outcome {n}" for n in range(1, 3_001)]
    assert sorted(read.values()) == [952, 1_024, 1_024]


def test_a_claim_that_brings_its_journal_has_fewer_rows_than_are_read_in_one_turn() -> None:
    shortest = JournalRow(1, "step", "s", "0" * 32, "ok", 1, 1_700_000_000_000, place=0).to_json()
    assert len(shortest) == 96
    assert 65_536 // len(shortest) < records.AT_ONCE


def test_no_text_is_kept_beside_the_row_that_was_read_of_it() -> None:
    claim = claimed({"one:1": text_of(1), "@gone:two:1": "250", "one:2": text_of(2)})
    found = asyncio.run(records.rows_of(claim))
    assert {key: row.n for key, row in found.items()} == {"one:1": 1, "one:2": 2}
    assert claim.journal == {"one:1": "", "@gone:two:1": "250", "one:2": ""}


def test_a_text_that_is_no_row_is_told_with_its_key() -> None:
    with pytest.raises(JournalCorrupt) as error:
        asyncio.run(records.rows_of(claimed({"one:1": text_of(1), "one:2": '{"n":2}'})))
    assert error.value.fields["replay_key"] == "one:2"
