"""The journal: one way in for facts, many readers.

Recording never waits and never fails.  An event is numbered, kept with its contact while that lives, told to the subscribers
at once, written to the journal's file in the same turn, and stored in batches by the projection.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from easycall.events import ContactEnded, Event
from easycall.stats.archive import Archive, Entry, Index
from easycall.stats.codec import encode
from easycall.stats.framing import LONGEST, Frame
from easycall.stats.journey import Step, journey
from easycall.stats.left import left_behind
from easycall.stats.log_file import LogFile
from easycall.stats.projection import Projection
from easycall.stats.record import Record, completed, fold
from easycall.stats.recordings import Recording
from easycall.stats.standing import DECISIVE, PER_CONTACT, Standing

__all__ = ["Archive", "Entry", "Index", "Journal", "Listener"]

log = Logger()

Listener = Callable[[int, Event], None]


class Journal:
    """The journal of one daemon.  ``await start()`` before the first event."""

    def __init__(
        self,
        clock: IReactorTime,
        archive: Archive,
        file: LogFile | None = None,
        *,
        every: float = 0.1,
        room: int = 100_000,
        per_contact: int = PER_CONTACT,
        reports: Archive | None = None,
    ) -> None:
        """``file``: where events outlive the process before the database has them; None: nowhere.

        ``every``: seconds between an event and its batch; ``room``: events that may wait for the store in memory;
        ``per_contact``: events of one live contact kept in memory; ``reports``: the archive for who asks about the past,
        None: the same.
        """
        self._clock = clock
        self._archive = archive
        self._file = file
        self._reports = reports or archive
        self._per_contact = per_contact
        self._listeners: list[Listener] = []
        self._untold: deque[tuple[int, Event]] = deque()
        self.left = Standing()
        """What the process before this one left open; known after :meth:`start`."""
        self._standing = Standing(per_contact)
        self._live = self._standing.stories
        self._closing: dict[str, list[tuple[int, Event]]] = {}
        self._projection = Projection(clock, archive, file, self._story, self._told, every=every, room=room)
        self._last: int | None = None

    @property
    def last(self) -> int:
        """The sequence of the latest event."""
        return self._last or 0

    @property
    def stored(self) -> int:
        """Up to here the database has all that it will ever have."""
        return self._projection.stored

    @property
    def behind(self) -> int:
        """Events that wait for the store."""
        return self._projection.behind

    @property
    def dropped(self) -> int:
        """Events that were told but could not be kept."""
        return self._projection.dropped

    @property
    def trouble(self) -> str:
        """What is wrong with the file, in words; empty: nothing.  Calls go on all the same."""
        return self._projection.trouble

    async def start(self) -> None:
        """Go on where the store and the file stand.  Raises StoreUnavailable, and OSError for the file."""
        last = await self._projection.start()
        self.left, self._standing = await left_behind(
            self._file, self._archive, last, self._clock.seconds(), self._per_contact
        )
        self._live = self._standing.stories
        if self._file is not None:
            self._file.carry = self._carried
        self._last = last

    async def flush(self) -> None:
        """Store everything recorded so far.  Raises StoreUnavailable when it cannot be stored now."""
        await self._projection.flush()

    async def catch_up(self) -> None:
        """Wait until the store has what the processes before left in the file.  Raises StoreUnavailable."""
        await self._projection.catch_up()

    def write(self) -> None:
        """What was recorded so far outlives the process from now on.  For who tells or acts outside within the turn."""
        self._projection.write()

    def turn_page(self) -> None:
        """What was recorded so far leaves the journal's file as soon as the store has it and no live contact needs it."""
        self._projection.begin_segment()

    async def stop(self, seconds: float = 2.0) -> None:
        """Store what waits, within ``seconds``; what is left is said in the log.  Events after it are told,
        not stored."""
        await self._projection.stop(seconds)

    async def resume(self, contact: str) -> None:
        """A contact that began before the start goes on: what was told of it counts.  Raises StoreUnavailable."""
        if contact not in self._live:
            await self.catch_up()
            self._live[contact] = await self._archive.events(contact)

    async def events_of(self, contact: str) -> Sequence[Event]:
        """What was told of a contact so far, before the start too, in its order.  Raises StoreUnavailable."""
        kept = self._live.get(contact)
        if kept is None:
            await self._projection.catch_up()
            kept = await self._archive.events(contact)
        return [event for _, event in kept]

    # In

    def record(self, event: Event) -> None:
        """Number the event, keep it with its contact, tell the subscribers, store it soon."""
        if self._last is None:
            raise RuntimeError("the journal was not started: it does not know its next number")
        self._last += 1
        self._remember(self._last, event)
        self._enqueue(self._last, event)
        self._untold.append((self._last, event))
        if len(self._untold) == 1:  # else a listener recorded it: told after the event it is listening to
            self._tell()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener(sequence, event)`` for each event from now on; returns how to stop it."""
        self._listeners.append(listener)

        def stop() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return stop

    def _tell(self) -> None:
        while self._untold:
            sequence, event = self._untold[0]
            for listener in tuple(self._listeners):
                try:
                    listener(sequence, event)
                except Exception:
                    log.failure("a listener of the journal failed at event {seq}", seq=sequence)
            self._untold.popleft()

    def _remember(self, sequence: int, event: Event) -> None:
        contact = event.contact
        closing = self._closing.get(contact)
        if closing is not None:
            if len(closing) < self._per_contact or isinstance(event, DECISIVE):
                closing.append((sequence, event))
        elif isinstance(event, ContactEnded):
            self._closing[contact] = [*self._live.get(contact, ()), (sequence, event)]
        self._standing.take(sequence, event)

    def _enqueue(self, sequence: int, event: Event) -> None:
        try:
            body = encode(event)
        except Exception:
            log.failure("event {seq} of kind {kind} has no written form", seq=sequence, kind=event.kind)
            self._projection.drop(1)
            self._told([event])
            return
        self._projection.add(Entry(sequence, event, body))

    # Out

    async def record_of(self, contact: str) -> tuple[Record, list[Step]] | None:
        """A contact's record and its story, live or ended; None when it is unknown.  Raises StoreUnavailable."""
        kept = self._live.get(contact) or self._closing.get(contact)
        if kept:
            events = [event for _, event in kept]
            record = fold(contact, events, self._clock.seconds() if contact in self._live else None)
            return (record, journey(kept)) if record else None
        record = await self._reports.record(contact)
        if record is None:
            return None
        stored = await self._reports.events(contact)
        return completed(record, [event for _, event in stored]), journey(stored)

    async def ended(self, limit: int, before: str = "") -> list[Record]:
        """Ended contacts, latest arrival first, without segments.  Raises StoreUnavailable."""
        return await self._reports.ended(limit, before)

    async def recording(self, recording: str) -> tuple[str, Recording] | None:
        """The contact of a recording, and what is known of it; None when it is unknown.  Raises StoreUnavailable."""
        contact = await self._reports.recordings.contact_of(recording)
        found = await self.record_of(contact) if contact else None
        return next(((contact, one) for one in found[0].recordings if one.id == recording), None) if found else None

    async def recordings(self, limit: int, before: str, first: float, end: float) -> list[tuple[str, Recording]]:
        """Contacts and recordings that began in that time, latest first.  Raises StoreUnavailable."""
        return await self._reports.recordings.page(limit, before, first, end)

    # What the projection asks

    def _story(self, contact: str) -> list[tuple[int, Event]]:
        """What is known here of a contact that ended."""
        return self._closing.get(contact, [])

    def _told(self, events: Sequence[Event]) -> None:
        """These need not be remembered for the store any more: it has them, or will get them from the file, or never."""
        for event in events:
            if isinstance(event, ContactEnded):
                self._closing.pop(event.contact, None)

    def _carried(self) -> Iterable[Frame]:
        """What stands open, as the file carries it."""
        return (one for seq, event in self._standing.carried() if (one := _frame(seq, event)) is not None)


def _frame(seq: int, event: Event) -> Frame | None:
    try:
        body = encode(event)
    except Exception:  # it has no written form; that was told, and it was dropped, when it was recorded
        return None
    return Frame(seq, event.at, event.kind, body) if len(body) <= LONGEST // 4 else None
