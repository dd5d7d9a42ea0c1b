"""A lab for the tests of the wire, and its PBX for each."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from easycall.lab.lab import tied
from easycall.lab.layout import Order, State, free_block

from .stage import Pbx

LABS = Path(__file__).parent.parent.parent / "var" / "lab"

FIGURES: list[str] = []


@pytest.fixture(scope="session")
def lab() -> Iterator[State]:
    """Two real Asterisks, for as long as the tests run."""
    with tied(Order(LABS, f"wire-{os.getpid()}", free_block(), patience=2), print) as state:
        yield state


@pytest_twisted.async_yield_fixture
async def pbx(lab: State) -> AsyncIterator[Pbx]:
    """The lab's PBX; at the end no channel may be left on it."""
    pbx = await Pbx(lab, reactor).open()
    yield pbx
    await pbx.close()


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Say what was measured; it is shown at the end of the run."""
    return lambda text: FIGURES.append(f"{request.node.name}: {text}")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if FIGURES:
        terminalreporter.section("measured")
        for figure in FIGURES:
            terminalreporter.write_line(figure)
