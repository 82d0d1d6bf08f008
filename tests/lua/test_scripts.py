"""All scripts: what each of them owes its reader."""

from __future__ import annotations

import pytest
from wakeline.store import scripts


@pytest.mark.parametrize("name", scripts.names())
def test_every_script_says_what_it_is_for(name: str) -> None:
    source = scripts._source(f"{name}.lua")
    for heading in ("-- Purpose:", "-- Include:", "-- ARGV:", "-- Reply:", "-- Atomic"):
        assert heading in source
