"""The pulse of the reactor: a timer that sees by how much it is late, and tells others that the reactor turns."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from easycall.stats.metrics import Histogram

__all__ = ["BOUNDS", "EVERY", "Lag", "Pulse"]

log = Logger()

EVERY = 0.25
"""Seconds between two beats."""
REMEMBERED = 240
"""Beats of which the largest lag is told: a minute of them."""
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds."""


class Lag:
    """By how much the reactor was late: something else had it so long."""

    def __init__(self) -> None:
        self.histogram = Histogram(BOUNDS)
        self._latest: deque[float] = deque(maxlen=REMEMBERED)

    def add(self, seconds: float) -> None:
        """One beat was late by so much."""
        self.histogram.observe(seconds)
        self._latest.append(seconds)

    @property
    def last(self) -> float:
        """Of the last beat, in seconds."""
        return self._latest[-1] if self._latest else 0.0

    @property
    def largest(self) -> float:
        """The largest of the last minute, in seconds."""
        return max(self._latest, default=0.0)


class Pulse:
    """Beats while it runs; ``told`` are called at each beat with the time."""

    def __init__(self, clock: IReactorTime, lag: Lag, told: Sequence[Callable[[float], None]]) -> None:
        self._clock = clock
        self._lag = lag
        self._told = told
        self._timer: IDelayedCall | None = None
        self._due = 0.0

    async def start(self) -> None:
        """Beat from now on."""
        self._due = self._clock.seconds()
        self._beat()

    async def stop(self) -> None:
        """No more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _beat(self) -> None:
        now = self._clock.seconds()
        self._lag.add(max(0.0, now - self._due))
        self._due = now + EVERY
        self._timer = self._clock.callLater(EVERY, self._beat)
        for tell in self._told:
            try:
                tell(now)
            except Exception:
                log.failure("what the pulse is told to failed")
