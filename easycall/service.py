"""Ordered start and stop: each part begins when the one before stands, and the last to start is the first to stop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from attrs import frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from easycall.defer import cancelled, limited, start

__all__ = ["Daemon", "Part", "nothing"]

log = Logger()

STOP_SECONDS = 5.0
"""How long one part may take to stop before the next is stopped all the same."""


async def nothing() -> None:
    """For a part that needs no start, or no stop."""


@frozen
class Part:
    """One part of the daemon."""

    name: str
    start: Callable[[], Awaitable[None]]
    stop: Callable[[], Awaitable[None]]


class Daemon(Service):
    """All parts as one service.  A part that cannot start stops the daemon, with one line that says why."""

    def __init__(self, parts: Sequence[Part], clock: IReactorTime, fatal: Callable[[str], None]) -> None:
        self._parts = parts
        self._clock = clock
        self._fatal = fatal
        self._running: list[Part] = []
        self.started: Deferred[None] | None = None
        """Fires when every part stands."""

    def startService(self) -> None:
        """Start the parts in order; :attr:`started` tells when they stand."""
        super().startService()
        self.started = start(self._start())

    async def stopService(self) -> None:
        """Stop the parts in reverse order, each within a limit."""
        super().stopService()
        if self.started is not None:
            await cancelled(self.started)
        while self._running:
            part = self._running.pop()
            try:
                await limited(Deferred.fromCoroutine(_awaited(part.stop())), STOP_SECONDS, self._clock)
            except Exception:
                log.failure("{part} did not stop properly", part=part.name)

    async def _start(self) -> None:
        for part in self._parts:
            self._running.append(part)
            try:
                await part.start()
            except Exception as error:
                log.debug("{part} failed to start: {error!r}", part=part.name, error=error)
                self._fatal(f"{part.name}: {error}")
                return


async def _awaited(work: Awaitable[None]) -> None:
    await work
