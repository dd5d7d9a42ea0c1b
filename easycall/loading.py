"""What lives in the database, read when it can be: at the start, or when a database that was away then is there.

A daemon that was killed while its database is away must not leave callers alone.  So a part whose reading fails starts all
the same and knows that it has read nothing; here it is read again, all such parts by one loop and in their order.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from easycall.defer import cancelled, start
from easycall.ports import StoreUnavailable, StoreUnusable
from easycall.service import CannotStart, Part, nothing

__all__ = ["Loading"]

log = Logger()

Work: TypeAlias = Coroutine[Deferred[Any], Any, None]

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0
"""Seconds between two tries."""


@frozen
class _Load:
    """Something that is still to be read."""

    name: str
    read: Callable[[], Work]


class Loading:
    """See the module."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._missing: list[_Load] = []
        self._why = ""
        self._running: Deferred[None] | None = None

    @property
    def missing(self) -> list[str]:
        """What is not read yet, by name."""
        return [one.name for one in self._missing]

    @property
    def trouble(self) -> str:
        """What is not read yet, and why, in words; empty: everything is."""
        if not self._missing:
            return ""
        return f"the database was away at the start, and these are not read yet: {', '.join(self.missing)} ({self._why})"

    def part(self, name: str, read: Callable[[], Work], stop: Callable[[], Work] = nothing) -> Part:
        """A part that starts by reading.  ``read`` raises StoreUnavailable, and may be run again then.

        That the database cannot be used as it is configured is a reason not to start.
        """

        async def begin() -> None:
            try:
                await read()
            except StoreUnusable as why:
                raise CannotStart(f"store.url: {why}") from why
            except StoreUnavailable as why:
                self._later(_Load(name, read), str(why))

        return Part(name, begin, stop)

    async def stop(self) -> None:
        """Read nothing more."""
        running, self._running = self._running, None
        if running is not None:
            await cancelled(running)

    def _later(self, load: _Load, why: str) -> None:
        self._missing.append(load)
        if self._running is None:
            self._why = why
            log.error("{name} cannot be read yet, calls are served without: {why}", name=load.name, why=why)
            self._running = start(self._all())

    async def _all(self) -> None:
        pause = FIRST_PAUSE
        while self._missing:
            await deferLater(self._clock, pause)
            pause = FIRST_PAUSE if await self._next() else min(2 * pause, LONGEST_PAUSE)
        log.info("everything is read from the database")
        self._running = None

    async def _next(self) -> bool:
        """Read what can be read now; whether that was anything."""
        before = len(self._missing)
        while self._missing:
            try:
                await self._missing[0].read()
            except StoreUnavailable as why:
                if str(why) != self._why:
                    log.error("{name} cannot be read yet: {why}", name=self._missing[0].name, why=str(why))
                self._why = str(why)
                break
            except Exception:
                log.failure("{name} cannot be read", name=self._missing[0].name)
                self._why = "see the log"
                break
            log.info("{name}: read from the database", name=self._missing.pop(0).name)
        return len(self._missing) < before
