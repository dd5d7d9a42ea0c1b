"""What holds for every test: a time limit, no failure in the log, nothing left running.

pytest-twisted alone lets a test pass that lost an error in a Deferred or left a timer behind, and waits for ever on one that
is stuck.
"""

from __future__ import annotations

import functools
import gc
import inspect
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from hypothesis import HealthCheck, settings
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from easycall.store.choice import SiteDatabase
from easycall.store.memory import MemoryDatabase
from easycall.store.postgres import PostgreSQL
from easycall.store.sqlite import SQLite

from .postgres import Cluster, running
from .scenarios.matrix import Results

# How fast a machine is that runs other tests beside them says nothing about what properties hold.
settings.register_profile("easycall", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("easycall")

MATRIX = pytest.StashKey[Results]()
SECONDS = 30.0
"""How long an asynchronous test may take; ``@pytest.mark.seconds(n)`` gives one more."""

BEGUN = count()
"""Of tests."""
FREEZE_EVERY = 25
"""So many tests."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pbx", choices=["simulator", "asterisk", "both"], default="both", help="what the scenarios run on")
    parser.addoption("--interleavings", type=int, default=1000, help="how many seeded races test_interleavings.py runs")
    parser.addoption(
        "--crash-points",
        default="8",
        metavar="N|all|7+,8-…",
        help="at which of the journal's writes the daemon dies in scenarios/kill/test_crash_points.py",
    )
    parser.addoption(
        "--upgrade-from",
        metavar="FOLDER",
        help="a checkout of an older easycall, whose daemon is followed by ours in scenarios/kill/test_upgrade.py",
    )
    parser.addoption(
        "--virtual-days", type=float, default=2.0, help="how many days test_virtual_days.py and _callbacks.py let pass"
    )
    parser.addoption("--restarts", type=float, default=6.0, help="how often a day the daemon is restarted in them")
    parser.addoption(
        "--long", action="store_true", help="faults last as long as the table of faults says, and come as often"
    )
    parser.addoption(
        "--virtual-crash-points", type=int, default=20, help="at how many writes test_crash_points.py lets it die"
    )
    parser.addoption(
        "--callback-stories", type=int, default=50, help="how many random stories test_callbacks_model.py tells"
    )
    parser.addoption("--matrix", metavar="FILE", help="where scenarios/test_matrix.py writes its table")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "seconds(n): the time limit of an asynchronous test")
    config.addinivalue_line("markers", "site(**options): how this scenario's daemon is configured, see easycall.lab.site")
    config.addinivalue_line("markers", "only(pbx, why): this scenario runs on that only, for this reason")
    config.addinivalue_line("markers", "fault(*rows): the rows of the table of faults and attacks this test proves")
    config.addinivalue_line("markers", "alone: this test measures the machine: nothing else may run beside it")
    config.addinivalue_line("markers", "logs_failures: this test provokes failures that are to be logged")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = config.getoption("--pbx")
    unwanted = [item for item in items if wanted != "both" and pbx_of(item) not in ("both", wanted)]
    config.hook.pytest_deselected(items=unwanted)
    items[:] = [item for item in items if item not in unwanted]
    for item in items:
        if isinstance(item, pytest.Function) and not hasattr(item.obj, "hypothesis"):
            mark = item.get_closest_marker("seconds")
            item.obj = limited(item.obj, mark.args[0] if mark else SECONDS)


def pbx_of(item: pytest.Item) -> str:
    """What a test runs on, by its parameter ``pbx``; what has none runs whatever ``--pbx`` says."""
    return str(item.callspec.params.get("pbx", "both")) if hasattr(item, "callspec") else "both"


def limited(test: Callable[..., Any], seconds: float) -> Callable[..., Any]:
    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> Any:
        result = test(*args, **kwargs)
        if inspect.iscoroutine(result):
            result = Deferred.fromCoroutine(result)
        if isinstance(result, Deferred):
            result.addTimeout(seconds, reactor)
        return result

    return run


def timers() -> Counter[str]:
    """What the reactor will call later, by name."""
    return Counter(
        getattr(call.func, "__qualname__", None) or repr(call.func)
        for call in reactor.getDelayedCalls()  # type: ignore[attr-defined]
    )


@pytest_twisted.async_yield_fixture(autouse=True)
async def nothing_left_behind(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """Fail a test on a logged failure, on an error nobody took, and on a timer it left."""
    if next(BEGUN) % FREEZE_EVERY == 0:
        gc.collect()
        gc.freeze()  # what stays, pytest's tests and modules above all, is not looked through after each test
    failures: list[str] = []

    def observe(event: LogEvent) -> None:
        if "log_failure" in event:
            failures.append(f"{formatEvent(event)}\n{event['log_failure'].getTraceback()}")

    before = timers()
    globalLogPublisher.addObserver(observe)
    try:
        yield
        for _ in range(3):
            await deferLater(reactor, 0)  # type: ignore[arg-type]
        gc.collect()
    finally:
        globalLogPublisher.removeObserver(observe)
    if not request.node.get_closest_marker("logs_failures"):
        assert not failures, "logged during the test:\n" + "\n".join(failures)
    assert not timers() - before, "timers left by the test"


# Databases


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Cluster]:
    """A PostgreSQL server of this session's own."""
    with running() as cluster:
        yield cluster


@pytest_twisted.async_yield_fixture(params=["SQLite", "memory", "PostgreSQL"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SiteDatabase]:
    """An open database of each kind: for what holds for every one."""
    cluster: Cluster | None = request.getfixturevalue("postgresql") if request.param == "PostgreSQL" else None
    name = cluster.create() if cluster else ""
    if cluster:
        opened: SiteDatabase = PostgreSQL(cluster.address(name), reactor)
    else:
        opened = SQLite(str(tmp_path / "easycall.db"), reactor) if request.param == "SQLite" else MemoryDatabase()
    await opened.open()
    yield opened
    await opened.close()
    await opened.close()
    if cluster:
        cluster.drop(name)


# The matrix of scenarios/test_matrix.py, of which each process that runs tests fills a part


@pytest.fixture(scope="session")
def matrix(pytestconfig: pytest.Config) -> Results:
    """Its results, told in the end."""
    return pytestconfig.stash.setdefault(MATRIX, Results())


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A process of pytest-xdist hands over what it found."""
    if hasattr(session.config, "workeroutput") and MATRIX in session.config.stash:
        session.config.workeroutput["matrix"] = session.config.stash[MATRIX].rows()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Take it."""
    found = getattr(node, "workeroutput", {}).get("matrix", [])
    node.config.stash.setdefault(MATRIX, Results()).join(found)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """How the matrix went; the table itself goes where ``--matrix`` says."""
    results = config.stash.get(MATRIX, Results())
    if not results:
        return
    terminalreporter.write_line(results.summary())
    if file := config.getoption("--matrix"):
        Path(file).write_text("\n".join(results.lines()) + "\n", encoding="utf-8")
