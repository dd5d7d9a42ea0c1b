"""A lab for all scenarios, and a call centre for each: on a simulated Asterisk, and on a real one."""

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

from .callcentre import CallCentre, nothing_is_open, open_files
from .ground import PATIENCE, up

LABS = Path(__file__).parent.parent.parent / "var" / "lab"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each scenario runs on both, unless it says why not."""
    if "pbx" in metafunc.fixturenames:
        kinds = ["simulator", "asterisk"]
        if (only := metafunc.definition.get_closest_marker("only")) is not None:
            kind, why = only.args
            assert why, "a scenario that does not run on both says why"
            kinds = [kind]
        metafunc.parametrize("pbx", kinds, indirect=True, scope="session")


@pytest.fixture(scope="session")
def lab() -> Iterator[State]:
    """Two real Asterisks, for as long as the tests run."""
    with tied(Order(LABS, f"test-{os.getpid()}", free_block(), PATIENCE), print) as state:
        yield state


@pytest.fixture(scope="session")
def pbx(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> State | Path:
    """The real lab, or the folder of the simulated ones, which share their prompts."""
    return request.getfixturevalue("lab") if request.param == "asterisk" else tmp_path_factory.mktemp("lab")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Iterator[None]:
    outcome: Any = yield
    report = outcome.get_result()
    if report.when == "call":
        item.failed = report.failed  # type: ignore[attr-defined]
        centre = getattr(item, "funcargs", {}).get("centre")
        if report.failed and centre is not None:
            report.sections.append(("the story so far", centre.so_far()))


def unwritable(state: State) -> Path:
    """A folder for recordings in which no folder for a year can be made: there is a file of its name."""
    folder = state.folder / "unwritable"
    folder.mkdir(exist_ok=True)
    for year in range(2024, 2100):
        (folder / str(year)).touch()
    return folder


@pytest_twisted.async_yield_fixture
async def centre(request: pytest.FixtureRequest, pbx: State | Path, tmp_path: Path) -> AsyncIterator[CallCentre]:
    """A call centre; at the end of a scenario that went well nothing of it may be left."""
    files = open_files()
    async with up(pbx) as (state, worlds):
        stage = CallCentre(state, worlds, tmp_path / "site", reactor)
        mark = request.node.get_closest_marker("site")
        site = dict(mark.kwargs) if mark else {}
        if site.get("recordings") == "unwritable":
            site["recordings"] = unwritable(state)
        await stage.open(noise=not isinstance(pbx, State), **site)
        yield stage
        if getattr(request.node, "failed", True):
            await stage.abandon()
            return
        await stage.close()
    gc.collect()
    await nothing_is_open(files)
