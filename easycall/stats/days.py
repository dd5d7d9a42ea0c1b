"""What is counted by queue and day, for so many days.

A day is that of the time zone of the queue's opening hours, or else of this machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta, tzinfo
from typing import Generic, TypeVar

from easycall.model import Queue

__all__ = ["KEPT_DAYS", "Days", "zone_of"]

T = TypeVar("T")

KEPT_DAYS = 31
"""Today and those before it."""


def zone_of(queue: Queue, zone: tzinfo | None) -> tzinfo | None:
    """Where a queue's days begin; ``zone``: of queues without opening hours, None: this machine's."""
    return queue.hours.zone if queue.hours is not None else zone


class Days(Generic[T]):
    """The counts of all queues."""

    def __init__(self, queues: Mapping[str, Queue], zone: tzinfo | None, new: Callable[[], T]) -> None:
        """``queues``: as they are at any time; ``zone``: see :func:`zone_of`; ``new``: the counts of a day begin so."""
        self._queues = queues
        self._zone = zone
        self._new = new
        self._kept: dict[str, dict[date, T]] = {}

    def knows(self, queue: str) -> bool:
        """Whether there is such a queue."""
        return queue in self._queues

    def day(self, queue: str, at: float) -> date:
        """The day of a moment, of a queue that there is."""
        return datetime.fromtimestamp(at, zone_of(self._queues[queue], self._zone)).date()

    def of(self, queue: str, day: date) -> T:
        """Where something of a day counts: nowhere that is seen, when it is too long ago."""
        kept = self._kept.setdefault(queue, {})
        found = kept.get(day)
        if found is None:
            newest = max(kept, default=day)
            if day <= newest - timedelta(KEPT_DAYS):
                return self._new()
            found = kept[day] = self._new()
            for old in [one for one in kept if one <= max(day, newest) - timedelta(KEPT_DAYS)]:
                del kept[old]
        return found

    def seen(self, queue: str, now: float) -> Mapping[date, T]:
        """The days of a queue on which something was counted, the earliest first.  Raises KeyError."""
        first = self.day(queue, now) - timedelta(KEPT_DAYS)
        return {day: counts for day, counts in sorted(self._kept.get(queue, {}).items()) if day > first}
