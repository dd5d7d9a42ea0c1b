"""Lost contacts and callbacks of each queue, day by day: a fold over events that goes on after a restart.

:mod:`easycall.stats.lost_contacts` tells who was lost and recovered, :mod:`easycall.stats.attempts` what was done for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta, tzinfo
from typing import ClassVar

from attrs import field, frozen

from easycall.events import Event
from easycall.model import CallbackState, Queue
from easycall.stats.attempts import Attempts, AttemptsDay
from easycall.stats.days import KEPT_DAYS
from easycall.stats.losses import LostDay
from easycall.stats.lost_contacts import LostContacts

__all__ = ["Recovery", "RecoveryDay", "Standing"]


METER_DAYS = 30
"""Over how many days the law wants customers who were kept waiting counted."""


@frozen
class RecoveryDay:
    """One day of a queue."""

    lost: LostDay = field(factory=LostDay)
    attempts: AttemptsDay = field(factory=AttemptsDay)


@frozen
class Standing:
    """The open callbacks of a queue, now."""

    states: Counter[CallbackState] = field(factory=Counter)
    late: int = 0
    """Of these, of how many supervisors were told that they are late."""


class Recovery:
    """Of all queues.  A :class:`easycall.stats.history.Figure`."""

    name: ClassVar[str] = "callbacks"
    kinds: ClassVar[Sequence[type[Event]]] = tuple(dict.fromkeys((*LostContacts.kinds, *Attempts.kinds)))

    def __init__(
        self, queues: Mapping[str, Queue], number_of: Callable[[str], str] = str, zone: tzinfo | None = None
    ) -> None:
        """``queues``: as they are at any time; ``number_of``: the number a customer is known by, of one as shown; empty:
        withheld; ``zone``: of queues without opening hours, None: this machine's."""
        self._made = queues, number_of, zone
        self._lost = LostContacts(queues, zone, number_of)
        self._attempts = Attempts(queues, zone)

    def of_queue(self, queue: str, now: float) -> Mapping[date, RecoveryDay]:
        """Each day of the last :data:`KEPT_DAYS` on which there was something, the earliest first.  Raises KeyError."""
        lost, attempts = self._lost.days.seen(queue, now), self._attempts.days.seen(queue, now)
        return {
            day: RecoveryDay(lost.get(day) or LostDay(), attempts.get(day) or AttemptsDay())
            for day in sorted(lost.keys() | attempts.keys())
        }

    def first_day(self, queue: str, days: int, now: float) -> date:
        """With which day the last so many began, today being one of them.  Raises KeyError."""
        return self._attempts.days.day(queue, now) - timedelta(days - 1)

    def today(self, queue: str, now: float) -> RecoveryDay:
        """The day that it is for the queue.  Raises KeyError."""
        return self.of_queue(queue, now).get(self._lost.days.day(queue, now)) or RecoveryDay()

    def abandonment(self, queue: str, now: float) -> float | None:
        """:attr:`AttemptsDay.abandonment` of the last :data:`METER_DAYS` together.  Raises KeyError."""
        first = self.first_day(queue, METER_DAYS, now)
        total = AttemptsDay()
        for day, counts in self._attempts.days.seen(queue, now).items():
            if day >= first:
                total.answered += counts.answered
                total.kept_waiting += counts.kept_waiting
        return total.abandonment

    def open(self) -> Mapping[str, Standing]:
        """Queue -> its open callbacks, of those that have any."""
        found: dict[str, Counter[CallbackState]] = {}
        late: Counter[str] = Counter()
        for one in self._attempts.open.values():
            found.setdefault(one.queue, Counter())[one.state] += 1
            late[one.queue] += one.late
        return {queue: Standing(states, late[queue]) for queue, states in found.items()}

    # A figure

    def since(self, now: float) -> float:
        """From which moment on events count on one of the days, or are of callbacks that may be open still."""
        return now - (KEPT_DAYS + 1) * 86_400.0

    def anew(self) -> Recovery:
        """An empty one of the same queues."""
        return Recovery(*self._made)

    def become(self, other: Recovery) -> None:
        """Be what the other one is, which is not used any more."""
        self._lost, self._attempts = other._lost, other._attempts

    def take(self, sequence: int, event: Event) -> None:
        """A listener of the journal."""
        self._lost.take(event)
        self._attempts.take(event)
