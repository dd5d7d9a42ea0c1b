"""The clock of the daemon, which corrections of the machine's clock do not reach."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

__all__ = ["SteadyClock", "steady"]


@implementer(IReactorTime)
class SteadyClock:
    """The reactor's timers, and a wall time that never jumps: the wall clock at the start plus what has passed since.

    (``reactor.seconds()`` follows every correction of the machine's clock, and durations could come out negative.)
    """

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor
        self._offset = time.time() - time.monotonic()

    def seconds(self) -> float:
        """Now, in seconds since the epoch."""
        return self._offset + time.monotonic()

    def callLater(self, delay: float, callable: Callable[..., Any], *args: object, **kwargs: object) -> IDelayedCall:
        """Call later; see IReactorTime."""
        return self._reactor.callLater(delay, callable, *args, **kwargs)

    def getDelayedCalls(self) -> Any:
        """What will be called; see IReactorTime."""
        return self._reactor.getDelayedCalls()


def steady(reactor: Any) -> None:
    """Let the reactor's own timers take no notice either when the machine's clock is set.

    Twisted counts by the wall clock: set back by an hour it would let everything wait for an hour, set on it would let every
    time limit of that hour run out at once.
    """
    reactor.seconds = SteadyClock(reactor).seconds
