"""A call centre for each scenario, whose daemon is a process."""

from __future__ import annotations

import gc
from collections import ChainMap
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from easycall.lab.layout import State

from ..callcentre import nothing_is_open, open_files
from ..ground import up
from .centre import KillableCentre
from .full_house import site_of

PATIENCE = 30
"""Seconds a caller waits for a daemon that is away, where a scenario does not say otherwise: as shipped."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """An upgrade needs something to upgrade from."""
    if not config.getoption("--upgrade-from"):
        upgrades = [item for item in items if item.path.name == "test_upgrade.py"]
        config.hook.pytest_deselected(items=upgrades)
        items[:] = [item for item in items if item not in upgrades]


@pytest_twisted.async_yield_fixture
async def centre(request: pytest.FixtureRequest, pbx: State | Path, tmp_path: Path) -> AsyncIterator[KillableCentre]:
    """See the module; at the end of a scenario that went well nothing may be left, as in every scenario.

    ``@pytest.mark.site(patience=2)``: another patience of the callers; ``house=SMALL``: everything for a full house of that
    size; ``store="PostgreSQL"``: a database there; ``upgrade=True``: the first daemon is the one of ``--upgrade-from``;
    everything else is as in every scenario.  Of several marks each gives what it names, the closest first.
    """
    files = open_files()
    site: dict[str, Any] = dict(ChainMap(*(mark.kwargs for mark in request.node.iter_markers("site"))))
    patience = site.pop("patience", PATIENCE)
    if (sizes := site.pop("house", None)) is not None:
        site |= site_of(tmp_path, sizes)
    server = request.getfixturevalue("postgresql") if site.pop("store", "SQLite") == "PostgreSQL" else None
    older = request.config.getoption("--upgrade-from") if site.pop("upgrade", False) else ""
    async with up(pbx, patience) as (state, worlds):
        stage = KillableCentre(state, worlds, tmp_path / "site", reactor)
        stage.patience, stage.older = patience, older
        if server is not None:
            stage.keeps_in(server)
        await stage.open(noise=not isinstance(pbx, State), **site)
        yield stage
        if getattr(request.node, "failed", True):
            await stage.abandon()
            return
        await stage.close()
    gc.collect()
    await nothing_is_open(files)
