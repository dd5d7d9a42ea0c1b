"""A lab for all scenarios, and a call centre for each."""

from __future__ import annotations

import gc
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from easycall.lab.lab import tied
from easycall.lab.layout import Order, State, free_block

from .callcentre import CallCentre, open_files

LABS = Path(__file__).parent.parent.parent / "var" / "lab"


@pytest.fixture(scope="session")
def lab(pytestconfig: pytest.Config) -> Iterator[State]:
    """Two real Asterisks, for as long as the tests run."""
    assert pytestconfig.getoption("--pbx") == "asterisk"
    with tied(Order(LABS, f"test-{os.getpid()}", free_block(), patience=2), print) as state:
        yield state


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Iterator[None]:
    outcome: Any = yield
    report = outcome.get_result()
    if report.when == "call":
        item.failed = report.failed  # type: ignore[attr-defined]
        centre = getattr(item, "funcargs", {}).get("centre")
        if report.failed and centre is not None:
            report.sections.append(("the story so far", centre.story()))


@pytest_twisted.async_yield_fixture
async def centre(request: pytest.FixtureRequest, lab: State, tmp_path: Path) -> AsyncIterator[CallCentre]:
    """A call centre; at the end of a scenario that went well nothing of it may be left."""
    files = open_files()
    stage = CallCentre(lab, tmp_path / "site", reactor)
    mark = request.node.get_closest_marker("site")
    await stage.open(**(mark.kwargs if mark else {}))
    yield stage
    if getattr(request.node, "failed", True):
        await stage.abandon()
        return
    await stage.close()
    gc.collect()
    assert not open_files() - files, "left open"
