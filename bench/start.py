"""Measure how long the daemon reads the journal's file at its start, beside a bare loop over the same bytes."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zlib import crc32

import msgspec
from store import Stalls, in_thread, reactor
from twisted.internet.defer import Deferred

from easycall.clock import SteadyClock
from easycall.events import ContactArrived, Event, FlowStep
from easycall.garbage import settle
from easycall.stats.codec import encode
from easycall.stats.framing import Frame, bracketed, frame
from easycall.stats.journal import Journal
from easycall.stats.log_file import LogFile
from easycall.store.contacts import ContactArchive
from easycall.store.journal_folder import JournalFolder
from easycall.store.memory import MemoryDatabase

SEGMENT_MIB = 8
"""The file begins a new segment then, into which what stands open is carried: a start reads no more than one."""
STEPS = 19
"""Of a contact, after its arrival."""
ROUNDS = 5


def event(number: int) -> Event:
    contact = f"01JB{number // (STEPS + 1):022}"
    if number % (STEPS + 1):
        return FlowStep(at=2.0, contact=contact, flow="welcome", node="n" * 60)
    return ContactArrived(at=1.0, contact=contact, pbx="main", leg="x", caller="+491", caller_name="", dialled="1")


def segment(size: int) -> tuple[bytes, list[bytes]]:
    """A whole one, of contacts that all stand open, and its bodies."""
    written, bodies = bytearray(b"".join(map(frame, bracketed([])))), list[bytes]()
    while len(written) < size:
        one = event(len(bodies))
        body = encode(one)
        bodies.append(body.encode())
        written += frame(Frame(len(bodies), one.at, one.kind, body))
    return bytes(written), bodies


def bare(bodies: list[bytes]) -> float:
    """Seconds that the two libraries take: the check sum and the JSON of each event, as plain dicts."""
    decode, began = msgspec.json.Decoder().decode, time.process_time()
    for body in bodies:
        crc32(body)
        decode(body)
    return time.process_time() - began


async def start(folder: Path) -> dict[str, float]:
    """Of a journal whose database has all of it already."""
    clock: Any = SteadyClock(reactor)
    database = MemoryDatabase()
    await database.open()
    journal = Journal(clock, ContactArchive(database), LogFile(JournalFolder(folder), clock, in_thread))
    settle()  # as the daemon does
    stalls, worked, began = Stalls(), time.process_time(), time.perf_counter()
    await journal.start()
    found = {"cpu_s": time.process_time() - worked, "clock_s": time.perf_counter() - began}
    stalls.stop()
    found["events"] = sum(map(len, journal.left.stories.values()))
    found["stall_ms"] = max(stalls.seen) * 1e3
    await journal.stop()
    await database.close()
    return found


async def measure(folder: Path, mebibytes: int, rounds: int) -> dict[str, float]:
    data, bodies = segment(mebibytes << 20)
    found: list[dict[str, float]] = []
    for number in range(rounds):
        journal = folder / str(number)
        journal.mkdir()
        (journal / f"{1:020}.log").write_bytes(data)
        one = await start(journal)
        if one["events"] < len(bodies) - STEPS:
            raise RuntimeError(f"{one['events']:.0f} of {len(bodies)} events were read")
        found.append({**one, "bare_cpu_s": bare(bodies)})
    middle = {name: statistics.median(one[name] for one in found) for name in found[0]}
    return {**middle, "of_bare": middle["cpu_s"] / middle["bare_cpu_s"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--quick", action="store_true", help="one round, to see that it runs")
    parser.add_argument("--mebibytes", type=int, default=SEGMENT_MIB, help=f"of the file ({SEGMENT_MIB})")
    chosen = parser.parse_args()
    failed: list[Any] = []
    found: dict[str, float] = {}

    def run(folder: Path) -> None:
        done = Deferred.fromCoroutine(measure(folder, chosen.mebibytes, 1 if chosen.quick else ROUNDS))
        done.addCallbacks(found.update, failed.append)
        done.addBoth(lambda _: reactor.stop())

    with TemporaryDirectory() as folder:
        reactor.callWhenRunning(run, Path(folder))
        reactor.run()
    if failed:
        sys.exit(failed[0].getTraceback())
    rounded = {name: round(value, 3) for name, value in found.items()}
    lines = "\n".join(f"{name:<12}{value:>12,.3f}" for name, value in rounded.items())
    sys.stdout.write((json.dumps(rounded, indent=2) if chosen.json else lines) + "\n")


if __name__ == "__main__":
    main()
