"""Every requirement has a test that names it."""

from __future__ import annotations

from pathlib import Path

import pytest

#: group -> how many requirements it has, numbered from 01
REQUIREMENTS = {"TYPE": 5, "NODE": 7, "GRAPH": 9, "RUN": 9, "MAP": 6, "NEST": 6, "ERR": 5, "EVT": 3}
IDS = [f"{group}-{n:02}" for group, count in REQUIREMENTS.items() for n in range(1, count + 1)]
SUITE = "\n".join(
    path.read_text() for path in Path(__file__).parent.glob("test_*.py") if path.name != __file__
)


@pytest.mark.parametrize("requirement", IDS)
def test_every_requirement_is_named_by_a_test(requirement: str) -> None:
    assert requirement in SUITE
