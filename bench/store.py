"""Measure what keeping events costs, with the journal's file and either database behind it, beside bare drivers."""

from __future__ import annotations

import argparse
import io
import json
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Any

import psycopg2
from psycopg2.extras import execute_values
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool

sys.path.insert(0, str(Path(__file__).parent.parent))  # the tests make the cluster, too

from easycall.clock import SteadyClock
from easycall.events import FlowStep
from easycall.garbage import settle
from easycall.stats.archive import Archive, Entry
from easycall.stats.codec import encode
from easycall.stats.journal import Journal
from easycall.stats.log_file import LogFile
from easycall.store import migrations
from easycall.store.choice import SiteDatabase
from easycall.store.contacts import ADD_EVENT, ContactArchive
from easycall.store.journal_folder import JournalFolder
from easycall.store.postgres import PostgreSQL
from easycall.store.postgres.address import Address
from easycall.store.sqlite import SQLite
from tests.postgres import DURABLE, Cluster, running

reactor: Any = _reactor
TICK = 0.001
GROUP = 1_024
WAL_FILES = 60
"""Of 16 MB: what the measurements write between two checkpoints."""
COLUMNS = "seq, at, kind, contact, agent, body"
Row = tuple[Any, ...]
Connect = Callable[[], Any]


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


def rows(first: int, count: int) -> list[Row]:
    """As they stand in the database; of one event, as making them is not what is measured."""
    one = event(1.5, 1)
    row = (one.at, one.kind, one.contact, one.agent, encode(one))
    return [(first + number, *row) for number in range(count)]


def in_thread(work: Any, *arguments: Any) -> Deferred[Any]:
    return deferToThreadPool(reactor, reactor.getThreadPool(), work, *arguments)


def milliseconds(values: list[float]) -> dict[str, float]:
    cuts = quantiles(values, n=1000)
    named = {"p50": cuts[499], "p99": cuts[989], "p99.9": cuts[998], "max": max(values)}
    return {name: round(value * 1e3, 2) for name, value in named.items()}


class Watch:
    """How long something takes, by the clock and by this process's time on a processor."""

    def __init__(self) -> None:
        self._began, self._worked = time.perf_counter(), time.process_time()

    @property
    def passed(self) -> float:
        return time.perf_counter() - self._began

    def rates(self, count: int) -> dict[str, float]:
        """Of so many events."""
        worked = time.process_time() - self._worked
        return {"events_s": round(count / self.passed), "cpu_us": round(worked / count * 1e6, 1)}


def measured(watch: Watch, count: int, stalls: Stalls, lags: list[float] | None = None) -> dict[str, Any]:
    rates = watch.rates(count)
    stalls.stop()
    lag = {} if lags is None else {"lag_ms": milliseconds(lags)}
    return {"events": count, **rates, **lag, "stall_ms": milliseconds(stalls.seen)}


# Through the daemon's own parts


async def sustained(
    database: SiteDatabase, folder: Path | None, rate: int, seconds: float, every: float = 0.01
) -> dict[str, Any]:
    """So many events a second, given evenly; 0: as many as are stored.  ``folder``: of the journal's file."""
    clock: Any = SteadyClock(reactor)
    archive = Timed(ContactArchive(database), clock)
    file = LogFile(JournalFolder(folder), clock, in_thread) if folder else None
    as_archive: Archive = archive  # type: ignore[assignment] # by __getattr__
    journal = Journal(clock, as_archive, file, every=every)
    await journal.start()
    settle()  # as the daemon does
    stalls, watch = Stalls(), Watch()
    given = 0
    while (passed := watch.passed) < seconds:
        room = journal.behind < 20_000
        due = int(rate * passed) if rate else given + 200 * room
        while given < due:
            journal.record(event(clock.seconds(), given))
            given += 1
        await deferLater(reactor, TICK if rate or not room else 0)
    await journal.flush()
    result = measured(watch, given, stalls, archive.lags)
    await journal.stop()
    if len(archive.lags) != given:
        raise RuntimeError(f"{given - len(archive.lags)} events were not stored")
    return result


async def stored(database: SiteDatabase, seconds: float, group: int) -> dict[str, Any]:
    """So many events in a transaction through the archive, each awaited; they are made beforehand."""
    archive = ContactArchive(database)
    one = event(1.5, 1)
    body = encode(one)
    settle()
    stalls, lags, count, watch = Stalls(), [], 0, Watch()
    while watch.passed < seconds:
        entries = [Entry(count + number, one, body) for number in range(1, group + 1)]
        asked = time.perf_counter()
        await archive.append(entries, [])
        lags.append(time.perf_counter() - asked)
        count += group
    return measured(watch, count, stalls, lags)


# Bare drivers


def bare(connect: Connect, add: Callable[[Any, Sequence[Row]], None], seconds: float, group: int) -> dict[str, Any]:
    """A loop that does nothing but add rows, so many in a transaction."""
    connection = connect()
    lags, count, watch = [], 0, Watch()
    while watch.passed < seconds:
        some = rows(count + 1, group)
        asked = time.perf_counter()
        add(connection, some)
        lags.append(time.perf_counter() - asked)
        count += group
    rates = watch.rates(count)
    connection.close()
    return {**rates, "lag_ms": milliseconds(lags)}


def steadily(connect: Connect, add: Callable[[Any, Sequence[Row]], None], seconds: float, rate: int) -> dict[str, float]:
    """A loop that adds what came in the last 10 ms, as the journal does at so many events a second: how long each waited.

    What is above the journal's lag is ours; what is not, the database's and the disk's.
    """
    connection = connect()
    lags: list[float] = []
    count, watch = 0, Watch()
    while watch.passed < seconds:
        time.sleep(0.01)
        due = int(watch.passed * rate)
        some = rows(count + 1, due - count)
        add(connection, some)
        done = watch.passed
        lags += [done - number / rate for number in range(count, due)]
        count = due
    connection.close()
    return {"events_s": rate, "lag_ms": milliseconds(lags)}


def add_to_sqlite(connection: sqlite3.Connection, some: Sequence[Row]) -> None:
    connection.execute("BEGIN")
    connection.executemany(ADD_EVENT, some)
    connection.execute("COMMIT")


def add_to_postgresql(connection: Any, some: Sequence[Row]) -> None:
    with connection, connection.cursor() as cursor:
        execute_values(cursor, f"INSERT INTO events ({COLUMNS}) VALUES %s ON CONFLICT DO NOTHING", some, page_size=500)  # noqa: S608


def copy_to_postgresql(connection: Any, some: Sequence[Row]) -> None:
    lines = io.StringIO("".join(["\t".join(map(str, row)) + "\n" for row in some]))
    with connection, connection.cursor() as cursor:
        cursor.copy_expert(f"COPY events ({COLUMNS}) FROM STDIN", lines)


async def copied(connect: Connect, seconds: float) -> dict[str, Any]:
    """COPY in a thread beside the reactor, as txpostgres has none."""
    connection = connect()
    stalls, count, watch = Stalls(), 0, Watch()
    while watch.passed < seconds:
        await in_thread(copy_to_postgresql, connection, rows(count + 1, GROUP))
        count += GROUP
    result = measured(watch, count, stalls)
    connection.close()
    return result


# Both


async def of_daemon(
    fresh: Callable[[], SiteDatabase], folder: Path, rate: int, seconds: float, bare_s: float
) -> dict[str, Any]:
    found: dict[str, Any] = {}

    async def measure(name: str, work: Callable[[SiteDatabase], Any]) -> None:
        database = fresh()
        await database.open()
        found[name] = await work(database)
        await database.close()

    def file() -> Path:
        return folder / f"journal{len(found)}"

    await measure("one_by_one", lambda database: stored(database, seconds / 2, 1))
    await measure("grouped", lambda database: stored(database, seconds / 2, GROUP))
    await measure(f"journal_{rate}", lambda database: sustained(database, file(), rate, seconds))
    await measure(f"journal_{rate}_as_shipped", lambda database: sustained(database, file(), rate, seconds, 0.1))
    await measure(f"no_file_{rate}", lambda database: sustained(database, None, rate, seconds))
    await measure("saturated", lambda database: sustained(database, file(), 0, seconds))
    for name in ("grouped", "saturated"):
        found[f"{name}_of_bare"] = round(found[name]["events_s"] / bare_s, 2)
    return found


async def sqlite(folder: Path, rate: int, seconds: float) -> dict[str, Any]:
    made: list[Path] = []

    def new() -> str:
        made.append(folder / f"easycall{len(made)}.db")
        return str(made[-1])

    def connect() -> sqlite3.Connection:
        path = new()
        migrations.upgrade_sqlite(path)
        connection = sqlite3.connect(path, isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    driver: dict[str, Any] = {str(group): bare(connect, add_to_sqlite, seconds / 2, group) for group in (1, GROUP)}
    driver[f"at_{rate}"] = steadily(connect, add_to_sqlite, seconds, rate)
    ours = await of_daemon(lambda: SQLite(new(), reactor), folder, rate, seconds, driver[str(GROUP)]["events_s"])
    return {"bare": driver, **ours}


def run_in(cluster: Cluster) -> None:
    """Let the server have as much log as one that has run for a day: it writes into old files, and need not make new ones.

    Each new one costs a commit 50 to 100 ms on a plain disk.
    """
    for _ in range(WAL_FILES):
        cluster.sql("SELECT pg_logical_emit_message(false, 'easycall', 'x')")
        cluster.sql("SELECT pg_switch_wal()")
    cluster.sql("CHECKPOINT")


async def postgresql(cluster: Cluster, folder: Path, rate: int, seconds: float) -> dict[str, Any]:
    run_in(cluster)

    def fresh() -> Address:
        cluster.sql("CHECKPOINT")  # none falls into what is measured, because of what was measured before
        return cluster.address(cluster.create())

    def connect() -> Any:
        return psycopg2.connect(fresh().url)

    driver: dict[str, Any] = {str(group): bare(connect, add_to_postgresql, seconds / 2, group) for group in (1, GROUP)}
    driver[f"at_{rate}"] = steadily(connect, add_to_postgresql, seconds, rate)
    driver["COPY"] = bare(connect, copy_to_postgresql, seconds / 2, GROUP)
    copy = await copied(connect, seconds / 2)
    ours = await of_daemon(lambda: PostgreSQL(fresh(), reactor), folder, rate, seconds, driver[str(GROUP)]["events_s"])
    return {"bare": driver, "copy_in_a_thread": copy, **ours}


async def measure(folder: Path, cluster: Cluster | None, chosen: argparse.Namespace) -> dict[str, Any]:
    seconds = 1.0 if chosen.quick else 10.0
    result: dict[str, Any] = {}
    if chosen.database != "postgresql":
        result["sqlite"] = await sqlite(folder / "sqlite", chosen.rate, seconds)
    if cluster is not None:
        result["postgresql"] = await postgresql(cluster, folder / "postgresql", chosen.rate, seconds)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--quick", action="store_true", help="a second each, to see that it runs")
    parser.add_argument("--rate", type=int, default=10_000, help="events a second (10000)")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], help="this one only")
    parser.add_argument("--folder", type=Path, help="where the files are made; its disk is what is measured")
    chosen = parser.parse_args()
    failed: list[Any] = []
    found: dict[str, Any] = {}

    def run(folder: Path, cluster: Cluster | None) -> None:
        done = Deferred.fromCoroutine(measure(folder, cluster, chosen))
        done.addCallbacks(found.update, failed.append)
        done.addBoth(lambda _: reactor.stop())

    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(dir=chosen.folder)))
        for name in ("sqlite", "postgresql"):
            (folder / name).mkdir()
        wanted = chosen.database != "sqlite"
        cluster = stack.enter_context(running(DURABLE, chosen.folder)) if wanted else None
        reactor.callWhenRunning(run, folder, cluster)
        reactor.run()
    if failed:
        sys.exit(failed[0].getTraceback())
    lines = [f"{name:<11} {what:<24} {value}" for name, ones in found.items() for what, value in ones.items()]
    sys.stdout.write(json.dumps(found, indent=2) if chosen.json else "\n".join(lines))
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
