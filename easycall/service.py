"""Ordered start and stop: each part begins when the one before stands, and the last to start is the first to stop.

And the end of a process that cannot run (:class:`Leaving`).
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

from attrs import frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from easycall.defer import cancelled, first, start

__all__ = ["CannotStart", "Daemon", "Leaving", "Part", "nothing"]

log = Logger()

Work: TypeAlias = Coroutine[Deferred[Any], Any, None]

STOP_SECONDS = 5.0
"""How long one part may take to stop before the next is stopped all the same."""


class CannotStart(Exception):
    """A part cannot start for a reason that the operator can remove.  Its text is one line that says which."""


async def nothing() -> None:
    """For a part that needs no start, or no stop."""


@frozen
class Part:
    """One part of the daemon.  ``stop`` also follows a ``start`` that failed or was broken off."""

    name: str
    start: Callable[[], Work]
    stop: Callable[[], Work]


class Daemon(Service):
    """All parts as one service.  ``fatal`` is told why a part cannot start; those behind it do not begin."""

    def __init__(self, parts: Sequence[Part], clock: IReactorTime, fatal: Callable[[str], None]) -> None:
        self._parts = parts
        self._clock = clock
        self._fatal = fatal
        self._begun: list[Part] = []
        self.started: Deferred[None] | None = None
        """Fires when every part stands, or one could not start."""

    def startService(self) -> None:
        """Start the parts in order; :attr:`started` tells when they stand."""
        super().startService()  # type: ignore[no-untyped-call] # Twisted's
        self.started = start(self._start())

    async def stopService(self) -> None:
        """Break off a start that is under way, then stop what began in reverse order, each within a limit."""
        super().stopService()  # type: ignore[no-untyped-call] # Twisted's
        if self.started is not None:
            await self._limited("the start", cancelled(self.started))
        while self._begun:
            part = self._begun.pop()
            await self._limited(part.name, part.stop())

    async def _start(self) -> None:
        for part in self._parts:
            self._begun.append(part)
            try:
                await part.start()
            except Exception as error:
                if self.running:  # else it was broken off, whatever it makes of that
                    self._fatal(_reason(part, error))
                return
        log.info("easycall is up: {parts}", parts=", ".join(part.name for part in self._parts))

    async def _limited(self, name: str, work: Work) -> None:
        """Wait for ``work``, but not longer than the limit even if it takes no notice of being cancelled."""
        try:
            if await first(start(work), deferLater(self._clock, STOP_SECONDS)):
                log.error("{part} did not stop within {seconds:g} s", part=name, seconds=STOP_SECONDS)
        except Exception:
            log.failure("{part} did not stop properly", part=name)


def _reason(part: Part, error: Exception) -> str:
    """Why a part cannot start, in one line; what nobody foresaw is logged as a whole."""
    if isinstance(error, CannotStart):
        return str(error)
    log.failure("{part} did not start", part=part.name)
    return f"{part.name} did not start, see the log: {error!r}"


class Leaving:
    """Ends the process in order, with status 1 and one line that says why."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._said = False

    def __call__(self, why: str) -> None:
        """Say why, and let the reactor stop the daemon.  Only the first reason counts."""
        if self._said:
            return
        self._said = True
        log.critical("easycall cannot run: {why}", why=why)
        # twistd ends with 0 after any orderly stop; systemd and scripts must see that this was none.  The status is set last
        # of all, when twistd has removed its pid file and closed the log.
        atexit.register(os._exit, 1)
        if not self._reactor.running:
            self._reactor.callWhenRunning(self._reactor.stop)
        else:
            with suppress(ReactorNotRunning):  # a signal stops it already
                self._reactor.stop()
        print(f"easycall cannot run: {why}", file=sys.__stderr__, flush=True)  # by now sys.stderr leads to the log
