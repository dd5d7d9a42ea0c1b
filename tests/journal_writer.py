"""A process that records for all it is worth until it is killed: ``python -m tests.journal_writer FOLDER``.

It prints the sequence of each event as the live feed would: in the next turn, when it is written.  Before, it ends with
status 1 when its journal does not know what the process before left as the database does, which has all events by then.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure

from easycall.clock import SteadyClock
from easycall.events import ContactArrived, ContactEnded, Event, FlowStep
from easycall.model import EndedBy, Outcome
from easycall.stats.crash_point import CrashPoint
from easycall.stats.journal import Journal
from easycall.stats.log_file import LogFile
from easycall.stats.standing import Standing
from easycall.store.contacts import ContactArchive
from easycall.store.journal_folder import JournalFolder
from easycall.store.sqlite import SQLite


def in_thread(work: Any, *arguments: Any) -> Deferred[Any]:
    return deferToThreadPool(reactor, reactor.getThreadPool(), work, *arguments)  # type: ignore[attr-defined]


async def live(folder: Path, crash: str) -> None:
    database = SQLite(str(folder / "easycall.db"), reactor)
    await database.open()
    clock: Any = SteadyClock(reactor)  # type: ignore[arg-type]
    point = CrashPoint(crash, lambda: os.kill(os.getpid(), signal.SIGKILL)) if crash else None
    file = LogFile(JournalFolder(folder / "journal"), clock, in_thread, segment_bytes=20_000, crash=point)
    journal = Journal(clock, ContactArchive(database), file)
    await journal.start()
    await journal.flush()
    known = Standing.of(await ContactArchive(database).standing(clock.seconds()))
    if known.stories != journal.left.stories:
        raise AssertionError(f"{journal.left.stories} is not what was left: {known.stories}")
    told: list[int] = []

    def hear(sequence: int, event: Event) -> None:
        if not told:
            reactor.callLater(0, tell)  # type: ignore[attr-defined]
        told.append(sequence)

    def tell() -> None:
        journal.write()
        os.write(1, "".join(f"{sequence}\n" for sequence in told).encode())
        told.clear()

    journal.subscribe(hear)

    def turn(number: int) -> None:
        contact = f"{os.getpid()}-{number // 10}"
        at = clock.seconds()
        if number % 10 == 0:
            who = {"pbx": "main", "leg": contact, "caller": "+491", "caller_name": "", "dialled": "1"}
            journal.record(ContactArrived(at=at, contact=contact, **who))
        elif number % 10 == 9:
            journal.record(ContactEnded(at=at, contact=contact, outcome=Outcome.ABANDONED, ended_by=EndedBy.CALLER))
        else:
            journal.record(FlowStep(at=at, contact=contact, flow="f", node=str(number)))
        reactor.callLater(0.0005, turn, number + 1)  # type: ignore[attr-defined]

    turn(0)


def failed(failure: Failure) -> None:
    failure.printTraceback()
    os._exit(1)


if __name__ == "__main__":
    crash_at = sys.argv[2] if len(sys.argv) > 2 else ""
    reactor.callWhenRunning(  # type: ignore[attr-defined]
        lambda: Deferred.fromCoroutine(live(Path(sys.argv[1]), crash_at)).addErrback(failed)
    )
    reactor.run()  # type: ignore[attr-defined]
