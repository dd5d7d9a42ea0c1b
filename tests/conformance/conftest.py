"""An Asterisk for the checks, simulated and real, and a stage for each of them."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor

from easycall.lab.asterisk import AsteriskWorld
from easycall.lab.lab import remote, tied
from easycall.lab.layout import Order, State, free_block
from easycall.lab.simulated import SimulatedLab

from .stage import Place, Stage

LABS = Path(__file__).parent.parent.parent / "var" / "lab"
DIALPLAN = Path(__file__).parent / "extensions.conf"
PATIENCE = 2


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record", action="store_true", help="conformance: keep what a real Asterisk shows as what is right")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "fact(*names): the measured facts about Asterisk that this check pins")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each check runs on both, unless it says why not."""
    if "pbx" in metafunc.fixturenames:
        only = metafunc.definition.get_closest_marker("only")
        metafunc.parametrize("pbx", only.args[:1] if only else ["simulator", "asterisk"], scope="session")


# A real one


@contextmanager
def up(name: str) -> Iterator[State]:
    """Two real Asterisks."""
    with tied(Order(LABS, f"{name}-{os.getpid()}", free_block(), PATIENCE), print) as lab:
        with (lab.folder / "a/etc/extensions.conf").open("a") as file:
            file.write(DIALPLAN.read_text())
        subprocess.run(remote(lab, "a", "-rx", "dialplan reload"), check=True, capture_output=True)
        yield lab


@pytest.fixture(scope="session")
def lab() -> Iterator[State]:
    """For as long as the checks run."""
    with up("conformance") as lab:
        yield lab


@pytest.fixture
def mortal_lab() -> Iterator[State]:
    """For one check that ends it."""
    with up("mortal") as lab:
        yield lab


def real(lab: State) -> Place:
    """The PBX of a lab."""

    async def crash() -> None:
        os.kill(lab.pids["a"], signal.SIGKILL)

    async def restart(stage: Stage) -> None:
        stage.lab.post("Command", Command="core restart now")
        await stage.lab.is_closed()

    ports = lab.ports
    return Place(
        ami=ports.a_ami,
        agi=ports.agi,
        nobody=ports.nobody_sip,
        secrets=lab.secrets,
        folder=lab.folder,
        world=lambda: AsteriskWorld(lab, reactor),
        crash=crash,
        restart=restart,
        process=lab.pids["a"],
    )


# A simulated one


@asynccontextmanager
async def simulated(folder: Path) -> AsyncIterator[Place]:
    """The PBX of a simulated lab."""
    lab = SimulatedLab(folder, reactor, patience=PATIENCE, dialplan=DIALPLAN.read_text())

    async def restart(stage: Stage) -> None:
        await lab.asterisk.shut_down(restart=True)
        await lab.asterisk.start()

    ports = lab.state.ports
    await lab.start()
    try:
        yield Place(
            ami=ports.a_ami,
            agi=ports.agi,
            nobody=ports.nobody_sip,
            secrets=lab.state.secrets,
            folder=folder,
            world=lab.world,
            crash=lab.asterisk.crash,
            restart=restart,
        )
    finally:
        await lab.stop()


# The stage


@asynccontextmanager
async def staged(request: pytest.FixtureRequest, pbx: str, lab: str, folder: Path) -> AsyncIterator[Stage]:
    """A stage on one of them; ``lab`` is the fixture of the real one."""
    name = request.node.name.replace(f"{pbx}-", "").replace(f"[{pbx}]", "")
    if pbx == "asterisk":
        yield await Stage(real(request.getfixturevalue(lab)), name, reactor).open()
        return
    async with simulated(folder) as place:
        yield await Stage(place, name, reactor).open()


@pytest_twisted.async_yield_fixture
async def stage(request: pytest.FixtureRequest, pbx: str, tmp_path: Path) -> AsyncIterator[Stage]:
    """A stage; at the end nothing may be left on it."""
    async with staged(request, pbx, "lab", tmp_path) as stage:
        yield stage
        await stage.close()


@pytest_twisted.async_yield_fixture
async def mortal(request: pytest.FixtureRequest, pbx: str, tmp_path: Path) -> AsyncIterator[Stage]:
    """A stage whose Asterisk may be ended."""
    async with staged(request, pbx, "mortal_lab", tmp_path) as stage:
        yield stage
        await stage.abandon()


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """What a check that went well saw must be what is recorded."""
    result = yield
    stage = pyfuncitem.funcargs.get("stage") or pyfuncitem.funcargs.get("mortal")
    if isinstance(stage, Stage):
        if stage.place.process and pyfuncitem.config.getoption("--record", False):
            stage.notes.record()
        else:
            stage.notes.compare()
    return result
