"""When each callback is looked at again: one timer for all of them."""

from __future__ import annotations

import heapq
from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

__all__ = ["Timetable"]

SOONEST = 0.05
"""A time that has come already is looked at after so many seconds: nothing goes round faster."""
LONGEST = 3600.0
"""So far ahead the timer is set at most: a clock may be set."""


class Timetable:
    """See the module."""

    def __init__(self, clock: IReactorTime, look: Callable[[str], None]) -> None:
        """``look``: called with the name of what is due."""
        self._clock = clock
        self._look = look
        self._times: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []
        self._timer: IDelayedCall | None = None
        self._stopped = False

    def at(self, name: str, when: float) -> None:
        """Look at it then, and not at the time that was set before."""
        self._times[name] = when
        heapq.heappush(self._heap, (when, name))
        self._set()

    def drop(self, name: str) -> None:
        """Do not look at it any more."""
        self._times.pop(name, None)

    def stop(self) -> None:
        """Look at nothing any more."""
        self._stopped = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def _set(self) -> None:
        while self._heap and self._times.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._heap and not self._stopped:
            seconds = min(LONGEST, max(SOONEST, self._heap[0][0] - self._clock.seconds()))
            self._timer = self._clock.callLater(seconds, self._due)

    def _due(self) -> None:
        now = self._clock.seconds()
        due = []
        while self._heap and self._heap[0][0] <= now:
            when, name = heapq.heappop(self._heap)
            if self._times.get(name) == when:
                del self._times[name]
                due.append(name)
        for name in due:
            self._look(name)
        self._set()
