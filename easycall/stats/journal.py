"""The journal: one way in for facts, many readers.

Recording never waits and never fails.  An event is numbered, kept with its contact while that lives, told to the subscribers
at once and stored in batches.  A store that is away costs nothing but lag, up to a bound; what does not fit is counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Protocol

from attrs import frozen
from twisted.internet.defer import CancelledError, DeferredLock
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from easycall.defer import limited, start
from easycall.events import Answered, ContactArrived, ContactEnded, DispositionSet, Event, TalkEnded
from easycall.ports import StoreUnavailable
from easycall.stats.codec import encode
from easycall.stats.journey import Step, journey
from easycall.stats.record import Record, fold
from easycall.stats.recordings import Recording

__all__ = ["Archive", "Entry", "Index", "Journal", "Listener"]

log = Logger()

Listener = Callable[[int, Event], None]

BATCH = 1_000
"""Events in one transaction."""

LONGEST_PAUSE = 5.0
"""Seconds between two tries while the store is away."""

COMPLAIN_EVERY = 60.0
"""Seconds between two log lines about events that were dropped."""


@frozen
class Entry:
    """One numbered event, ready to be stored."""

    seq: int
    event: Event
    body: str
    """The event's fields as JSON."""


class Archive(Protocol):
    """Where the journal keeps what happened.  Every method raises StoreUnavailable."""

    async def last(self) -> int:
        """The highest sequence stored, 0 when there is none."""

    async def append(self, entries: Sequence[Entry], records: Sequence[Record]) -> None:
        """Store events and the records of ended contacts, all or nothing; what is stored already is left alone."""

    async def record(self, contact: str) -> Record | None:
        """The record of a contact that is not live."""

    async def events(self, contact: str) -> list[tuple[int, Event]]:
        """The stored events of a contact, in order."""

    async def ended(self, limit: int, before: str) -> list[Record]:
        """The contacts that ended, the latest arrival first, without segments; only those before contact ``before``."""

    @property
    def recordings(self) -> Index:
        """Which recordings there are."""


class Index(Protocol):
    """Which recordings there are.  Every method raises StoreUnavailable."""

    async def contact_of(self, recording: str) -> str:
        """The contact of a recording; empty when there is none of that id."""

    async def page(self, limit: int, before: str, first: float, end: float) -> list[tuple[str, Recording]]:
        """Contacts and recordings that began from ``first`` on and before ``end``, the latest first; only those before
        recording ``before``.  What still runs has no end and no gaps yet."""


class Journal:
    """The journal of one daemon.  ``await start()`` before the first event."""

    def __init__(
        self, clock: IReactorTime, archive: Archive, *, every: float = 0.1, room: int = 100_000, per_contact: int = 1_000
    ) -> None:
        """``every``: seconds between an event and its batch; ``room``: events that may wait for the store;
        ``per_contact``: events of one live contact kept in memory."""
        self._clock = clock
        self._archive = archive
        self._every = self._pause = every
        self._room = room
        self._per_contact = per_contact
        self._listeners: list[Listener] = []
        self._untold: deque[tuple[int, Event]] = deque()
        self._unstored: deque[Entry] = deque()
        self._live: dict[str, list[tuple[int, Event]]] = {}
        self._closing: dict[str, list[tuple[int, Event]]] = {}
        self._timer: IDelayedCall | None = None
        self._writing = DeferredLock()
        self._last: int | None = None
        self._running = False
        self._complained = -COMPLAIN_EVERY
        self.dropped = 0
        """Events that were told but could not be kept."""

    @property
    def last(self) -> int:
        """The sequence of the latest event."""
        return self._last or 0

    @property
    def behind(self) -> int:
        """Events that wait for the store."""
        return len(self._unstored)

    async def start(self) -> None:
        """Go on where the store stands.  Raises StoreUnavailable."""
        self._last = await self._archive.last()
        self._running = True

    async def flush(self) -> None:
        """Store everything recorded so far.  Raises StoreUnavailable when it cannot be stored now."""
        await self._writing.run(self._drain)

    async def stop(self, seconds: float = 2.0) -> None:
        """Store what waits, within ``seconds``; what is left is said in the log.  Events after it are told,
        not stored."""
        self._running = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        try:
            await limited(start(self.flush()), seconds, self._clock)
        except (StoreUnavailable, TimeoutError) as why:
            log.error("the journal stops with {behind} events unstored: {why}", behind=self.behind, why=str(why))

    async def resume(self, contact: str) -> None:
        """A contact that began before the start goes on: what was told of it counts.  Raises StoreUnavailable."""
        if contact not in self._live:
            self._live[contact] = await self._archive.events(contact)

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
        if isinstance(event, ContactArrived) and contact not in self._closing:
            self._live.setdefault(contact, [])
        kept = self._live.get(contact)
        if kept is None:
            kept = self._closing.get(contact)
        decisive = isinstance(event, (Answered, TalkEnded, DispositionSet, ContactEnded))
        if kept is not None and (len(kept) < self._per_contact or decisive):
            kept.append((sequence, event))
        if isinstance(event, ContactEnded) and contact not in self._closing:
            self._closing[contact] = self._live.pop(contact, [(sequence, event)])

    def _enqueue(self, sequence: int, event: Event) -> None:
        try:
            entry = Entry(sequence, event, encode(event))
        except Exception:
            log.failure("event {seq} of kind {kind} has no written form", seq=sequence, kind=event.kind)
            self._drop([event])
            return
        if len(self._unstored) < self._room:
            self._unstored.append(entry)
        else:
            self._drop([event])
        self._wake()

    # Out

    async def record_of(self, contact: str) -> tuple[Record, list[Step]] | None:
        """A contact's record and its story, live or ended; None when it is unknown.  Raises StoreUnavailable."""
        kept = self._live.get(contact) or self._closing.get(contact)
        if kept:
            events = [event for _, event in kept]
            record = fold(contact, events, self._clock.seconds() if contact in self._live else None)
            return (record, journey(kept)) if record else None
        record = await self._archive.record(contact)
        return (record, journey(await self._archive.events(contact))) if record else None

    async def ended(self, limit: int, before: str = "") -> list[Record]:
        """Ended contacts, latest arrival first, without segments.  Raises StoreUnavailable."""
        return await self._archive.ended(limit, before)

    async def recording(self, recording: str) -> tuple[str, Recording] | None:
        """The contact of a recording, and what is known of it; None when it is unknown.  Raises StoreUnavailable."""
        contact = await self._archive.recordings.contact_of(recording)
        found = await self.record_of(contact) if contact else None
        return next(((contact, one) for one in found[0].recordings if one.id == recording), None) if found else None

    async def recordings(self, limit: int, before: str, first: float, end: float) -> list[tuple[str, Recording]]:
        """Contacts and recordings that began in that time, latest first.  Raises StoreUnavailable."""
        return await self._archive.recordings.page(limit, before, first, end)

    def _wake(self) -> None:
        if self._timer is None and self._running and self._unstored:
            self._timer = self._clock.callLater(self._pause, self._write)

    def _write(self) -> None:
        self._timer = None
        start(self._store()).addErrback(lambda failure: log.failure("the journal's writer failed", failure))

    async def _store(self) -> None:
        """One try to store what waits; the next one comes by timer."""
        try:
            await self.flush()
        except StoreUnavailable as why:
            if self._pause == self._every:
                log.error("the store is away, {behind} events wait: {why}", behind=self.behind, why=str(why))
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
        self._wake()

    async def _drain(self) -> None:
        while self._unstored:
            await self._store_batch(list(islice(self._unstored, BATCH)))
        if self._pause != self._every:
            log.info("the store is back, nothing waits")
            self._pause = self._every

    async def _store_batch(self, batch: Sequence[Entry]) -> None:
        closed = {entry.event.contact for entry in batch if isinstance(entry.event, ContactEnded)}
        try:
            folded = [fold(contact, await self._story(contact)) for contact in sorted(closed)]
            await self._archive.append(batch, [record for record in folded if record])
        except (StoreUnavailable, CancelledError):
            raise
        except Exception:
            log.failure("the store refused a batch of {n} events", n=len(batch))
            self._drop([entry.event for entry in batch])
        for _ in batch:
            self._unstored.popleft()
        for contact in closed:
            self._closing.pop(contact, None)

    async def _story(self, contact: str) -> list[Event]:
        """All events of a contact that ended; those from before a restart are in the store only."""
        kept = self._closing.get(contact, [])
        if not any(isinstance(event, ContactArrived) for _, event in kept):
            kept = [*await self._archive.events(contact), *kept]
        return [event for _, event in kept]

    def _drop(self, events: Sequence[Event]) -> None:
        self.dropped += len(events)
        for event in events:
            if isinstance(event, ContactEnded):
                self._closing.pop(event.contact, None)
        now = self._clock.seconds()
        if now - self._complained >= COMPLAIN_EVERY:
            self._complained = now
            log.error("{dropped} events were dropped so far: they could not be stored", dropped=self.dropped)
