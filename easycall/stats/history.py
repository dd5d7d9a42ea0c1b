"""Catching up on history: figures that are folds over events go on after a restart where they were.

From the start on every figure hears what happens.  In the background, one figure after another, an empty twin is given what
the database has from before, a slice a reactor turn, and then what happened meanwhile.  In the turn in which nothing is left
to be told, the figure becomes its twin: no event counts twice, none is missed.  Until then it knows what has happened since
the start, and :attr:`History.missing` says that there is more.

The sequence decides where the one source ends and the other begins: up to a number everything comes from the database, and
beyond it from a buffer of what was told live, in the order in which it was told.  A buffer that overflows moves that number.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol, Self

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from easycall.defer import cancelled, start
from easycall.events import Event
from easycall.ports import StoreUnavailable

__all__ = ["Figure", "History", "Past"]

log = Logger()

BLOCK = 1_000
"""So many numbers of the journal are asked for at once."""

SLICE = 200
"""So many events are folded in one turn of the reactor."""

PAUSE = 0.001
"""Seconds between two slices: the calls go first."""

LAG_SECONDS = 0.1
"""How soon the database is asked again for what it does not have yet."""

AWAY_SECONDS = 1.0
"""How soon after it did not answer."""

LIMIT_SECONDS = 600.0
"""How long it is tried in all; then a figure begins with this process."""

BUFFER = 50_000
"""So many live events are kept for a twin; older ones are read from the database."""


class Figure(Protocol):
    """A fold over events, of whatever sort."""

    name: ClassVar[str]
    """In the log and the API."""
    kinds: ClassVar[Sequence[type[Event]]]
    """What it listens to; it takes no notice of anything else."""

    def take(self, sequence: int, event: Event) -> None:
        """One more event, in the order of the journal."""

    def since(self, now: float) -> float:
        """From which moment on events make a difference to what it is now."""

    def anew(self) -> Self:
        """An empty one of the same sort."""

    def become(self, other: Self) -> None:
        """Be what the other one is, which is not used any more."""


class Past(Protocol):
    """The stored events.  Every method raises StoreUnavailable."""

    async def place(self, moment: float) -> int:
        """The number of an event before which all others happened before that moment."""

    async def events(self, after: int, upto: int, kinds: Sequence[type[Event]]) -> list[tuple[int, Event]]:
        """Those of some kinds with numbers above ``after`` and up to ``upto``, in order; unreadable ones are left out."""


class Journal(Protocol):
    """What happens."""

    @property
    def last(self) -> int:
        """The number of the latest event."""

    @property
    def stored(self) -> int:
        """Up to here the database has all that it will ever have."""

    def subscribe(self, listener: Callable[[int, Event], None]) -> Callable[[], None]:
        """Call ``listener`` for each event from now on; returns how to stop it."""


class History:
    """See the module."""

    def __init__(
        self, figures: Sequence[Figure], journal: Journal, past: Past, clock: IReactorTime, *, buffer: int = BUFFER
    ) -> None:
        """``figures``: in the order of their importance; whoever made them lets them hear what happens."""
        self._figures = figures
        self._journal = journal
        self._past = past
        self._clock = clock
        self._buffer = buffer
        self._running: Deferred[None] | None = None
        self.missing: dict[str, str] = {one.name: "not read back yet" for one in figures}
        """Figure -> why it knows nothing from before this process; those that do are not in it."""

    async def start(self) -> None:
        """Begin, in the background; the journal has been started."""
        self._running = start(self._catch_up())

    async def stop(self) -> None:
        """Break off what is under way."""
        if self._running is not None:
            await cancelled(self._running)

    async def _catch_up(self) -> None:
        until = self._clock.seconds() + LIMIT_SECONDS
        for figure in self._figures:
            try:
                await self._until_read(figure, until)
            except CancelledError:
                raise
            except Exception as why:
                self.missing[figure.name] = f"could not be read back: {why}"
                log.failure("{name} begins with this process", name=figure.name)

    async def _until_read(self, figure: Any, until: float) -> None:
        """Try again while the database is away."""
        while True:
            try:
                await self._read(figure, until)
            except (StoreUnavailable, TimeoutError) as why:
                self.missing[figure.name] = f"could not be read back yet: {why}"
                if self._clock.seconds() >= until:
                    log.error("{name} begins with this process: {why}", name=figure.name, why=str(why))
                    return
                await deferLater(self._clock, AWAY_SECONDS)
            else:
                del self.missing[figure.name]
                return

    async def _read(self, figure: Any, until: float) -> None:
        """Raises StoreUnavailable, and TimeoutError."""
        twin = figure.anew()
        live = _Live(self._buffer, figure.kinds, self._journal)
        try:
            after = await self._past.place(figure.since(self._clock.seconds())) - 1
            while True:
                if after < live.missed:
                    after = await self._from_database(twin, after, live.missed, until)
                elif live:
                    for _ in range(min(SLICE, len(live))):
                        after, event = live.next()
                        twin.take(after, event)
                    await deferLater(self._clock, PAUSE)
                else:
                    figure.become(twin)
                    return
        finally:
            live.stop()

    async def _from_database(self, twin: Any, after: int, upto: int, until: float) -> int:
        """One block more, as far as the database has it; up to where that is."""
        if self._clock.seconds() >= until:
            raise TimeoutError(f"it took longer than {LIMIT_SECONDS:g} s")
        upto = min(after + BLOCK, upto, self._journal.stored)
        if upto <= after:
            await deferLater(self._clock, LAG_SECONDS)
            return after
        events = await self._past.events(after, upto, twin.kinds)
        for first in range(0, len(events), SLICE):
            for sequence, event in events[first : first + SLICE]:
                twin.take(sequence, event)
            await deferLater(self._clock, PAUSE)
        return upto


class _Live:
    """What is told from now on, and kept as far as there is room."""

    def __init__(self, most: int, kinds: Sequence[type[Event]], journal: Journal) -> None:
        self._most = most
        self._kinds = tuple(kinds)
        self._kept: deque[tuple[int, Event]] = deque()
        self.missed = journal.last
        """Up to here nothing is kept."""
        self.stop = journal.subscribe(self._take)

    def __len__(self) -> int:
        return len(self._kept)

    def next(self) -> tuple[int, Event]:
        """The oldest of them, which is kept no longer."""
        return self._kept.popleft()

    def _take(self, sequence: int, event: Event) -> None:
        if isinstance(event, self._kinds):
            self._kept.append((sequence, event))
            if len(self._kept) > self._most:
                self.missed = self._kept.popleft()[0]
