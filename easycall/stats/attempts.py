"""What is done to call customers back: a fold over events.

What was asked for, and what became of it, counts on the day on which it was asked for; attempts count on the day on which
the customer was dialled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date, tzinfo
from typing import Any

from attrs import define, field

from easycall.events import (
    Answered,
    CallAnswered,
    CallbackAsked,
    CallbackBegun,
    CallbackChanged,
    CallbackEnded,
    CallbackLate,
    CallbackSettled,
    CallDialled,
    ContactArrived,
    ContactEnded,
    Event,
)
from easycall.model import CallbackSource, CallbackState, EndedBy, Outcome, Queue
from easycall.stats.days import Days

__all__ = ["IN_TIME_SECONDS", "Attempts", "AttemptsDay", "Open"]

IN_TIME_SECONDS = 2.0
"""A customer who has answered is to have an agent within this time (US: 47 CFR 64.1200(a)(7), 16 CFR 310.4(b)(4)).  The law
counts from the end of the customer's greeting, this from the answer."""

MOST = 200_000
"""Open callbacks and live attempts that are kept apart; the oldest is forgotten then."""


@define
class AttemptsDay:
    """One day of a queue."""

    asked: Counter[CallbackSource] = field(factory=Counter)
    """The callbacks that were made, by why."""
    ended: Counter[tuple[CallbackSource, CallbackState]] = field(factory=Counter)
    """What became of these, whenever it did."""
    outcomes: Counter[Outcome] = field(factory=Counter)
    """The attempts in which the customer was dialled, and that are over."""
    answered: int = 0
    """Customers who answered; machines are none, where one finds out."""
    unserved: int = 0
    """Of these, who hung up before an agent talked with them."""
    kept_waiting: int = 0
    """Of these, who had no agent after :data:`IN_TIME_SECONDS`, whether one came later or not."""
    late: int = 0
    """Callbacks of which supervisors were told that day that they are late."""

    @property
    def attempts(self) -> int:
        """How many are over."""
        return self.outcomes.total()

    @property
    def reached(self) -> float | None:
        """Attempts in which customer and agent talked / attempts; None while there were none."""
        return self.outcomes[Outcome.ANSWERED] / self.attempts if self.attempts else None

    @property
    def abandonment(self) -> float | None:
        """kept_waiting / answered, to be held against the 3 % of the law; None while nobody answered."""
        return self.kept_waiting / self.answered if self.answered else None


@define
class Open:
    """A callback in which something is still to be done."""

    queue: str
    asked: tuple[str, date]
    """For which queue it was asked for, and on which day."""
    source: CallbackSource
    state: CallbackState = CallbackState.SCHEDULED
    late: bool = False


@define
class _Attempt:
    """A live contact that calls back."""

    callback: str
    leg: str = ""
    """The customer's; empty: was not dialled."""
    day: AttemptsDay = field(factory=AttemptsDay)
    """Where it counts."""
    answered: float | None = None
    """When the customer answered."""
    served: bool = False
    """Whether an agent has talked with the customer."""

    def waited(self, until: float) -> None:
        """The customer has answered, and this ends the wait for an agent."""
        if self.answered is not None:
            self.day.answered += 1
            self.day.kept_waiting += until - self.answered > IN_TIME_SECONDS


class Attempts:
    """Of all queues; part of :class:`easycall.stats.recovery.Recovery`."""

    kinds = (
        *(ContactArrived, CallDialled, CallAnswered, Answered, ContactEnded),
        *(CallbackAsked, CallbackBegun, CallbackChanged, CallbackLate, CallbackSettled, CallbackEnded),
    )

    def __init__(self, queues: Mapping[str, Queue], zone: tzinfo | None) -> None:
        """See :class:`Days`."""
        self.days = Days(queues, zone, AttemptsDay)
        self.open: dict[str, Open] = {}
        """By callback."""
        self._live: dict[str, _Attempt] = {}

    def take(self, event: Event) -> None:
        """One more event."""
        match event:
            case ContactArrived() if event.callback:
                _make_room(self._live)
                self._live.setdefault(event.contact, _Attempt(event.callback))
            case CallDialled() | CallAnswered() | Answered() | ContactEnded():
                if (attempt := self._live.get(event.contact)) is not None:
                    self._goes_on(attempt, event)
            case CallbackAsked() if self.days.knows(event.queue):
                day = self.days.day(event.queue, event.at)
                _make_room(self.open)
                self.open[event.callback] = Open(event.queue, (event.queue, day), event.source)
                self.days.of(event.queue, day).asked[event.source] += 1
            case CallbackEnded():
                if (one := self.open.pop(event.callback, None)) is not None:
                    self.days.of(*one.asked).ended[one.source, event.state] += 1
            case CallbackBegun() | CallbackSettled() | CallbackChanged() | CallbackLate():
                if (one := self.open.get(event.callback)) is not None:
                    self._moves(one, event)

    def _moves(self, one: Open, event: CallbackBegun | CallbackSettled | CallbackChanged | CallbackLate) -> None:
        match event:
            case CallbackBegun():
                one.state = CallbackState.IN_LINE
            case CallbackSettled():
                one.state = CallbackState.SCHEDULED
            case CallbackLate():
                one.late = True
                self.days.of(one.queue, self.days.day(one.queue, event.at)).late += 1
            case CallbackChanged():
                one.late = one.late and event.due <= event.at
                if self.days.knows(event.queue):
                    one.queue = event.queue

    def _goes_on(self, attempt: _Attempt, event: CallDialled | CallAnswered | Answered | ContactEnded) -> None:
        match event:
            case CallDialled() if event.purpose == "customer" and not attempt.leg:
                attempt.leg = event.leg
                queue = self.open[attempt.callback].queue if attempt.callback in self.open else event.queue
                if self.days.knows(queue):
                    attempt.day = self.days.of(queue, self.days.day(queue, event.at))
            case CallAnswered() if event.leg == attempt.leg and attempt.answered is None:
                attempt.answered = event.at
            case Answered() if not attempt.served:
                attempt.served = True
                attempt.waited(event.at)
            case ContactEnded():
                del self._live[event.contact]
                if attempt.leg:
                    self._over(attempt, event)

    def _over(self, attempt: _Attempt, event: ContactEnded) -> None:
        """An attempt in which the customer was dialled."""
        attempt.day.outcomes[event.outcome] += 1
        if not attempt.served and event.outcome is not Outcome.MACHINE:
            attempt.waited(event.at)
            attempt.day.unserved += attempt.answered is not None and event.ended_by is EndedBy.CALLER


def _make_room(kept: dict[str, Any]) -> None:
    if len(kept) >= MOST:
        del kept[next(iter(kept))]
