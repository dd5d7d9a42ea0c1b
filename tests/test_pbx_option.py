"""``--pbx`` says what the scenarios run on; what is no scenario is not touched by it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent.parent
FILES = ("tests/scenarios/test_first_call.py", "tests/test_acd.py")


def collected(*options: str) -> list[str]:
    """The tests that would run."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *FILES, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=HERE, check=True)
    return [line for line in done.stdout.splitlines() if "::" in line]


@pytest.mark.parametrize("wanted", ["simulator", "asterisk"])
def test_each_scenario_runs_on_what_is_wanted(wanted: str) -> None:
    both, one = collected(), collected(f"--pbx={wanted}")
    scenarios = [test for test in both if "scenarios" in test]
    assert len([test for test in one if "scenarios" in test]) * 2 == len(scenarios)
    assert all(f"[{wanted}" in test for test in one if "scenarios" in test)
    assert [test for test in one if "scenarios" not in test] == [test for test in both if "scenarios" not in test] != []
