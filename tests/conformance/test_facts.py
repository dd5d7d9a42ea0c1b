"""Every fact about Asterisk that the design rests on is pinned by a check."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FACTS = [f"M{number}" for number in range(1, 25)]
"""Those of the measured facts that are about Asterisk."""
STEPS = ("waiting", "connect", "bridge ends", "hold", "retrieve", "consult", "complete", "IVR and back", "conference of 3")
MORE_STEPS = ("listen, whisper, barge", "record", "fax", "taken or hung up")


def pinned() -> set[str]:
    """What the checks say that they pin."""
    marks = [re.findall(r"@pytest\.mark\.fact\((.*)\)", file.read_text(encoding="utf-8")) for file in HERE.glob("test_*.py")]
    return {fact for found in marks for mark in found for fact in re.findall(r'"([^"]+)"', mark)}


@pytest.mark.parametrize("fact", [*FACTS, *(f"§2 {step}" for step in (*STEPS, *MORE_STEPS)), "§4"])
def test_each_fact_has_a_check(fact: str) -> None:
    assert fact in pinned()


def test_nothing_is_recorded_of_a_check_that_is_no_more() -> None:
    checks = {name for file in HERE.glob("test_*.py") for name in re.findall(r"def (test_\w+)", file.read_text("utf-8"))}
    recorded = {file.name.partition("[")[0].removesuffix(".txt") for file in (HERE / "observed").iterdir()}
    assert recorded <= checks
