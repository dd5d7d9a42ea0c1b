"""The journal's events on their way into the database.

The next ones wait in memory.  When they become too many, or were left by a process that died, they are read back from the
journal's file: a database that is away costs nothing but lag.  The sequence is the key, so what is written twice is stored
once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from twisted.internet.defer import CancelledError, DeferredLock
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from easycall.defer import limited, start
from easycall.events import ContactArrived, ContactEnded, Event
from easycall.ports import StoreUnavailable
from easycall.stats.archive import Archive, Entry
from easycall.stats.codec import decode
from easycall.stats.framing import VERSION, Frame
from easycall.stats.log_file import LogFile
from easycall.stats.record import fold

__all__ = ["Projection"]

log = Logger()

Numbered = list[tuple[int, Event]]

BATCH = 1_024
"""Events in one transaction; a power of two, as one statement of SQLite takes."""

LONGEST_PAUSE = 5.0
"""Seconds between two tries while the store is away."""

COMPLAIN_EVERY = 60.0
"""Seconds between two log lines about events that were dropped."""

UNSEEN = 100_000
"""Numbers left out at a start without the database: more events than it can have that the file lost with the machine."""

START_SECONDS = 2.0
"""How long a start waits for the database to get what the file has; the rest follows beside the calls."""


class Projection:
    """See the module.  The journal is its only user."""

    def __init__(
        self,
        clock: IReactorTime,
        archive: Archive,
        file: LogFile | None,
        story: Callable[[str], Numbered],
        forget: Callable[[Sequence[Event]], None],
        *,
        every: float,
        room: int,
    ) -> None:
        """``story``: what is in memory of a contact that ended; ``forget`` is told which events need not be there now."""
        self._clock = clock
        self._archive = archive
        self._file = file
        self._story = story
        self._forget = forget
        self._every = self._pause = every
        self._room = room
        self._waiting: deque[Entry] = deque()
        self._lagging = False
        """True while there are events in the file that are not stored and not in memory."""
        self._stored = 0
        self._judged = 0
        """Up to here it was told what of the file cannot be understood."""
        self._met = False
        """Whether the database has said how far it is."""
        self._first = 0
        """Where the sequence went on without the database."""
        self._timer: IDelayedCall | None = None
        self._turn: IDelayedCall | None = None
        self._writing = DeferredLock()
        self._running = False
        self._storing = False
        """True while a try is under way: no other is begun, or they would queue up behind a slow store."""
        self._complained = -COMPLAIN_EVERY
        self._dropped = 0

    @property
    def behind(self) -> int:
        """Events that wait for the store."""
        if self._file is None or not self._lagging:
            return len(self._waiting)
        return max(self._file.written, self._waiting[-1].seq if self._waiting else 0) - self._stored

    @property
    def stored(self) -> int:
        """Up to here the database has all that it will ever have."""
        return self._stored

    @property
    def dropped(self) -> int:
        """Events that will never be in the database."""
        return self._dropped + (self._file.dropped + self._file.unreadable if self._file else 0)

    @property
    def trouble(self) -> str:
        """What is wrong with the file, in words."""
        return self._file.trouble if self._file else ""

    async def start(self) -> int:
        """Give the store what the file has beyond it; the highest sequence there is.

        A store that is away is given it later.  Raises OSError, and StoreUnavailable when the file is empty then.
        """
        if self._file is not None:
            await self._file.open()
        try:
            await self._meet()
        except StoreUnavailable as why:
            last = self._without(why)
        else:
            last = max(self._stored, self._file.written if self._file else 0)
        if self._lagging:
            log.info("the journal's file has {n} events that the store does not have", n=self.behind)
            try:
                await limited(start(self.flush()), START_SECONDS, self._clock)
            except (TimeoutError, StoreUnavailable) as why:
                log.info("{n} of them follow beside the calls: {why}", n=self.behind, why=str(why))
        self._running = True
        self._wake()
        return last

    async def _meet(self) -> None:
        """Ask the store how far it is.  Raises StoreUnavailable."""
        stored = await self._archive.last()
        if self._file is not None:
            if self._running and stored > self._first:
                log.error(
                    "the journal went on from {first} while the database was away, which has events up to {last}: "
                    "the file is older than the database, {n} events of before are mixed with these",
                    first=self._first,
                    last=stored,
                    n=stored - self._first,
                )
                stored = self._first
            self._file.projected = stored
            self._lagging = self._file.written > stored
        self._stored, self._met = stored, True

    def _without(self, why: StoreUnavailable) -> int:
        """Where the sequence goes on without the store.  Raises StoreUnavailable when the file has no events either."""
        if self._file is None or not self._file.written:
            raise StoreUnavailable(f"{why}; and the journal's file has no event that says where to go on") from why
        self._first = self._stored = self._file.written + UNSEEN
        log.error(
            "the journal goes on from its file, event {seq}, without the database: {why}", seq=self._stored, why=str(why)
        )
        return self._stored

    async def catch_up(self) -> None:
        """Wait until the store has what the processes before left in the file.  Raises StoreUnavailable."""
        if self._lagging or not self._met:
            await self.flush()

    async def stop(self, seconds: float) -> None:
        """Store what waits, within that time.  What is added after it is not stored."""
        self._running = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.write()
        try:
            await limited(start(self.flush()), seconds, self._clock)
        except (StoreUnavailable, TimeoutError) as why:
            log.error("the journal stops with {behind} events unstored: {why}", behind=self.behind, why=str(why))
        self.write()
        file, self._file = self._file, None
        if file is not None:
            await file.close()

    # In

    def add(self, entry: Entry) -> None:
        """One more event: into the file at the end of this turn, into the store soon.

        When neither takes any, and memory is full, it is dropped.
        """
        if len(self._waiting) >= self._room and not self._let_go():
            self.drop(1)
            self._forget([entry.event])
        else:
            self._waiting.append(entry)
            if self._file is not None:
                self._to_file(self._file, entry)
        self._wake()

    def drop(self, count: int) -> None:
        """Count events that cannot be stored, and say so now and then."""
        self._dropped += count
        now = self._clock.seconds()
        if now - self._complained >= COMPLAIN_EVERY:
            self._complained = now
            log.error("{dropped} events were dropped so far: they could not be stored", dropped=self.dropped)

    def begin_segment(self) -> None:
        """See :meth:`LogFile.begin_segment`."""
        if self._file is not None:
            self.write()
            self._file.begin_segment()

    def write(self) -> None:
        """Write what was added to the file."""
        if self._turn is not None and self._turn.active():
            self._turn.cancel()
        self._turn = None
        if self._file is not None:
            self._file.write()
            if self._lagging:
                self._let_go()

    def _to_file(self, file: LogFile, entry: Entry) -> None:
        if self._turn is None:
            self._turn = self._clock.callLater(0, self.write)
        try:
            file.add(Frame(entry.seq, entry.event.at, entry.event.kind, entry.body))
        except ValueError as why:
            log.error("{why}", why=str(why))

    def _let_go(self) -> bool:
        """What is in the file need not wait in memory; whether there is room now."""
        if self._file is None:
            return False
        gone = []
        while self._waiting and self._waiting[0].seq <= self._file.written:
            gone.append(self._waiting.popleft().event)
        if gone:
            self._lagging = True
            self._forget(gone)
        return len(self._waiting) < self._room

    # Out

    async def flush(self) -> None:
        """Store everything added so far.  Raises StoreUnavailable when it cannot be stored now."""
        await self._writing.run(self._drain)

    def _wake(self) -> None:
        if self._timer is None and self._running and not self._storing and (self._waiting or self._lagging):
            self._timer = self._clock.callLater(self._pause, self._tick)

    def _tick(self) -> None:
        self._timer = None
        start(self._store()).addErrback(lambda failure: log.failure("the journal's projection failed", failure))

    async def _store(self) -> None:
        """One try to store what waits; the next one comes by timer."""
        self._storing = True
        try:
            await self.flush()
        except StoreUnavailable as why:
            if self._pause == self._every:
                log.error("the store is away, {behind} events wait: {why}", behind=self.behind, why=str(why))
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
        finally:
            self._storing = False
            self._wake()

    async def _drain(self) -> None:
        if not self._met:
            await self._meet()
        while batch := await self._next():
            await self._store_batch(batch)
        if self._pause != self._every:
            log.info("the store is back, nothing waits")
            self._pause = self._every

    async def _next(self) -> list[Entry]:
        """What is to be stored next; empty when there is nothing."""
        if self._lagging and self._file is not None:
            before = self._waiting[0].seq if self._waiting else None
            if before != self._stored + 1 and (read := await self._from_file(self._file, before)):
                return read
        batch: list[Entry] = []
        for entry in self._waiting:
            if len(batch) == BATCH or (self._lagging and batch and entry.seq > batch[-1].seq + 1):
                break
            batch.append(entry)
        return batch

    async def _from_file(self, file: LogFile, before: int | None) -> list[Entry]:
        """Events behind those stored and before those that wait in memory."""
        self.write()
        upto = file.written
        while True:
            self._stored = max(self._stored, file.projected)  # what was thrown away will never come
            try:
                frames = await file.read(self._stored, BATCH)
            except TimeoutError as why:
                raise StoreUnavailable(f"the journal's file cannot be read: {why}") from why
            wanted = [one for one in frames if before is None or one.seq < before]
            if entries := self._entries(wanted):
                return entries
            if not wanted:
                break
            self._stored = wanted[-1].seq
        self._stored = max(self._stored, upto if before is None else min(upto, before - 1))
        if self._stored >= file.written:
            self._lagging = bool(self._waiting)
        return [] if self._stored >= file.written or before is not None else await self._from_file(file, None)

    def _entries(self, frames: Sequence[Frame]) -> list[Entry]:
        """What a process wrote, read by this one; a newer one may have written what we do not know."""
        entries = []
        for one in frames:
            try:
                if one.version > VERSION:
                    raise ValueError(f"version {one.version}; this easycall reads up to {VERSION}")
                entries.append(Entry(one.seq, decode(one.kind, one.body), one.body))
            except ValueError as why:
                if one.seq > self._judged:
                    log.error("journal: event {seq} cannot be understood: {why}", seq=one.seq, why=str(why))
                    self.drop(1)
        self._judged = max(self._judged, frames[-1].seq if frames else 0)
        return entries

    async def _store_batch(self, batch: Sequence[Entry]) -> None:
        closed = {entry.event.contact for entry in batch if isinstance(entry.event, ContactEnded)}
        try:
            folded = [fold(contact, await self._whole_story(contact, batch)) for contact in sorted(closed)]
            await self._archive.append(batch, [record for record in folded if record])
        except (StoreUnavailable, CancelledError):
            raise
        except Exception:
            log.failure("the store refused a batch of {n} events", n=len(batch))
            self.drop(len(batch))
        self._stored = max(self._stored, batch[-1].seq)
        while self._waiting and self._waiting[0].seq <= self._stored:
            self._waiting.popleft()
        self._forget([entry.event for entry in batch])
        self._make_room()

    def _make_room(self) -> None:
        """The file need not keep what is stored."""
        if self._file is not None:
            self._file.projected = max(self._file.projected, self._stored)
            self._file.forget(self._stored)

    async def _whole_story(self, contact: str, batch: Sequence[Entry]) -> list[Event]:
        """All events of a contact that ended; those from before a restart are in the store, or on their way, only."""
        kept = self._story(contact)
        if not any(isinstance(event, ContactArrived) for _, event in kept):
            own = [(entry.seq, entry.event) for entry in batch if entry.event.contact == contact]
            known = dict([*await self._archive.events(contact), *own, *kept])
            kept = sorted(known.items())
        return [event for _, event in kept]
