"""What happens to SQLite under a daemon: a file that another program locks."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import LoopingCall, deferLater
from twisted.internet.threads import deferToThread

from easycall.clock import SteadyClock
from easycall.ports import StoreUnavailable, StoreUnusable
from easycall.stats.journal import Journal
from easycall.stats.log_file import LogFile
from easycall.store.contacts import ContactArchive
from easycall.store.journal_folder import JournalFolder
from easycall.store.sqlite import SQLite

from .test_journal import up

pytestmark = pytest.mark.requirement("A3")

LOCKING = """\
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute(sys.argv[2])
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""
READER = "SELECT 1"
TICK = 0.01


@contextmanager
def locked(file: Path, before: str = READER) -> Iterator[None]:
    """Another program has the file for itself."""
    command = [sys.executable, "-c", LOCKING, str(file), before]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        try:
            yield
        finally:
            other.communicate()


@pytest.mark.fault("F88")
@pytest.mark.seconds(90)
@pytest_twisted.ensureDeferred
async def test_a_locked_file_stops_nobody_and_loses_nothing(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Twelve seconds in every run, longer than a statement waits for the lock; thirty with ``--long``."""
    seconds = 30 if request.config.getoption("--long") else 12
    file, clock = tmp_path / "easycall.db", SteadyClock(reactor)  # type: ignore[arg-type]
    database = SQLite(str(file), reactor)
    await database.open()
    log_file = LogFile(JournalFolder(tmp_path / "journal"), clock, deferToThread)
    journal = Journal(clock, ContactArchive(database), log_file)
    await journal.start()
    late: list[float] = []
    last = time.monotonic()

    def tick() -> None:
        nonlocal last
        now = time.monotonic()
        late.append(now - last - TICK)
        last = now
        journal.record(up(clock.seconds()))

    ticking = LoopingCall(tick)
    with locked(file):
        last = time.monotonic()
        ticking.start(TICK)
        with pytest.raises(StoreUnavailable, match="locked"):
            await database.query("INSERT INTO do_not_call VALUES ('+49301', '', 1.0, '') RETURNING number")
        await deferLater(reactor, seconds - 5.0)  # type: ignore[arg-type]
        ticking.stop()
        assert journal.behind > 50 * seconds, "the lock holds"
    late.sort()
    assert late[int(0.99 * len(late))] < 0.05, "the thread waits for the lock, not the reactor"
    assert late[-1] < 0.25
    await journal.flush()
    await journal.stop()
    await database.close()
    told = sqlite3.connect(file).execute("SELECT count(*), max(seq) FROM events").fetchall()
    assert told == [(len(late), len(late))]


@pytest.mark.fault("F88")
@pytest_twisted.ensureDeferred
async def test_a_file_that_is_locked_at_the_start_is_away_and_not_unusable(tmp_path: Path) -> None:
    file = tmp_path / "easycall.db"
    for _ in range(2):
        database = SQLite(str(file), reactor)
        await database.open()
        await database.close()
    with locked(file, "PRAGMA journal_mode=DELETE"):
        with pytest.raises(StoreUnavailable, match="locked") as caught:
            await database.open()
        assert not isinstance(caught.value, StoreUnusable)
    await database.open()
    await database.close()
