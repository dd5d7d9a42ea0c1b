"""Measure what keeping events costs, with the journal's file and SQLite behind it, beside a bare driver."""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import sys
import time
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool

from easycall.clock import SteadyClock
from easycall.events import FlowStep
from easycall.stats.archive import Archive, Entry
from easycall.stats.codec import encode
from easycall.stats.journal import Journal
from easycall.stats.log_file import LogFile
from easycall.store.contacts import ADD_EVENT, ContactArchive
from easycall.store.journal_folder import JournalFolder
from easycall.store.sqlite import SQLite

reactor: Any = _reactor
TICK = 0.001


class Timed:
    """An archive that notes how long each event was on its way."""

    def __init__(self, archive: ContactArchive, clock: Any) -> None:
        self._archive = archive
        self._clock = clock
        self.lags: list[float] = []

    async def append(self, entries: Any, records: Any) -> None:
        await self._archive.append(entries, records)
        now = self._clock.seconds()
        self.lags += [now - entry.event.at for entry in entries]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._archive, name)


class Stalls:
    """How much later than due a timer of the reactor comes."""

    def __init__(self) -> None:
        self.seen: list[float] = []
        self._running = True
        self._due = time.perf_counter() + TICK
        reactor.callLater(TICK, self._tick)

    def _tick(self) -> None:
        now = time.perf_counter()
        self.seen.append(max(0.0, now - self._due))
        if self._running:
            self._due = now + TICK
            reactor.callLater(TICK, self._tick)

    def stop(self) -> None:
        self._running = False


def event(at: float, number: int) -> FlowStep:
    return FlowStep(at=at, contact=f"01JB{number // 20:022}", flow="welcome", node="menu")


def in_thread(work: Any, *arguments: Any) -> Deferred[Any]:
    return deferToThreadPool(reactor, reactor.getThreadPool(), work, *arguments)


def milliseconds(values: list[float]) -> dict[str, float]:
    cuts = quantiles(values, n=100)
    return {"p50": round(cuts[49] * 1e3, 2), "p99": round(cuts[98] * 1e3, 2), "max": round(max(values) * 1e3, 2)}


async def opened(folder: Path) -> SQLite:
    os.mkdir(folder)
    database = SQLite(str(folder / "easycall.db"), reactor)
    await database.open()
    return database


async def sustained(folder: Path, rate: int, seconds: float, every: float, *, with_file: bool) -> dict[str, Any]:
    """So many events a second, given evenly; 0: as many as are stored."""
    database = await opened(folder)
    clock: Any = SteadyClock(reactor)
    archive = Timed(ContactArchive(database), clock)
    file = LogFile(JournalFolder(folder / "journal"), clock, in_thread) if with_file else None
    as_archive: Archive = archive  # type: ignore[assignment] # by __getattr__
    journal = Journal(clock, as_archive, file, every=every)
    await journal.start()
    stalls = Stalls()
    began = time.perf_counter()
    given = 0
    while (passed := time.perf_counter() - began) < seconds:
        due = int(rate * passed) if rate else given + (200 if journal.behind < 20_000 else 0)
        while given < due:
            journal.record(event(clock.seconds(), given))
            given += 1
        await deferLater(reactor, TICK if rate else 0)
    await journal.flush()
    took = time.perf_counter() - began
    stalls.stop()
    await journal.stop()
    await database.close()
    if len(archive.lags) != given:
        raise RuntimeError(f"{given - len(archive.lags)} events were not stored")
    return {
        "events": given,
        "events_s": round(given / took),
        "lag_ms": milliseconds(archive.lags),
        "stall_ms": milliseconds(stalls.seen),
    }


async def one_by_one(folder: Path, seconds: float) -> dict[str, Any]:
    """One commit an event through the archive, each awaited."""
    database = await opened(folder)
    archive = ContactArchive(database)
    stalls, lags = Stalls(), []
    began = time.perf_counter()
    while (now := time.perf_counter()) - began < seconds:
        one = event(now, len(lags))
        await archive.append([Entry(len(lags) + 1, one, encode(one))], [])
        lags.append(time.perf_counter() - now)
    took = time.perf_counter() - began
    stalls.stop()
    await database.close()
    return {
        "events": len(lags),
        "events_s": round(len(lags) / took),
        "lag_ms": milliseconds(lags),
        "stall_ms": milliseconds(stalls.seen),
    }


def bare(folder: Path, seconds: float, group: int) -> int:
    """Rows a second of a loop around sqlite3 with the same table and rows, in groups; events are made beforehand."""
    folder.mkdir()
    path = folder / "bare.db"
    from easycall.store import migrations

    migrations.upgrade_sqlite(str(path))
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")
    one = event(1.5, 1)
    row = (one.at, one.kind, one.contact, one.agent, encode(one))
    rows = 0
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        connection.execute("BEGIN")
        connection.executemany(ADD_EVENT, [(rows + number, *row) for number in range(1, group + 1)])
        connection.execute("COMMIT")
        rows += group
    took = time.perf_counter() - began
    connection.close()
    return round(rows / took)


async def measure(folder: Path, rate: int, seconds: float) -> dict[str, Any]:
    result: dict[str, Any] = {
        "bare_rows_s": {"1": bare(folder / "a", seconds / 2, 1), "1000": bare(folder / "b", seconds / 2, 1000)},
        "one_by_one": await one_by_one(folder / "c", seconds / 2),
        f"file_{rate}": await sustained(folder / "d", rate, seconds, 0.01, with_file=True),
        f"file_{rate}_as_shipped": await sustained(folder / "e", rate, seconds, 0.1, with_file=True),
        f"no_file_{rate}": await sustained(folder / "f", rate, seconds, 0.01, with_file=False),
        "saturated": await sustained(folder / "g", 0, seconds, 0.01, with_file=True),
    }
    result["saturated_of_bare"] = round(result["saturated"]["events_s"] / result["bare_rows_s"]["1000"], 2)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--quick", action="store_true", help="a second each, to see that it runs")
    parser.add_argument("--rate", type=int, default=10_000, help="events a second (10000)")
    parser.add_argument("--folder", type=Path, help="where the files are made; its disk is what is measured")
    chosen = parser.parse_args()
    failed: list[Any] = []
    found: dict[str, Any] = {}

    def run() -> None:
        place = TemporaryDirectory(dir=chosen.folder)
        done = Deferred.fromCoroutine(measure(Path(place.name), chosen.rate, 1.0 if chosen.quick else 10.0))
        done.addCallbacks(found.update, failed.append)
        done.addBoth(lambda _: (place.cleanup(), reactor.stop()))

    reactor.callWhenRunning(run)
    reactor.run()
    if failed:
        sys.exit(failed[0].getTraceback())
    sys.stdout.write(
        json.dumps(found, indent=2) if chosen.json else "\n".join(f"{name:<24} {value}" for name, value in found.items())
    )
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
