"""Who may be dialled before an agent is free: of whom the forecast says that one will be, by the time the customer answers.

Never more are dialled than agents are predicted to be free (:mod:`easycall.callback.pacing`).  While nobody can tell, nobody
is dialled ahead: the customer is dialled when an agent is held.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import inf
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from easycall.callback.pacing import AnswerTimes, may_dial, predicted_free
from easycall.events import Answered, ContactEnded, Event

__all__ = ["DialAhead", "Forecast", "Line"]

LOOK_SECONDS = 1.0
"""How often those who wait for their turn are looked at, while there are any: a forecast changes as time goes by."""
MOST = 100
"""So many agents are predicted to be free at most."""


class Line(Protocol):
    """Who waits; the real one is the distributor."""

    def ahead(self, contact: str) -> Mapping[str, int]:
        """Queue -> how many who look for an agent go before a contact.  Raises KeyError when it does not wait."""


class Forecast(Protocol):
    """What is expected of waits."""

    def after(self, queue: str, ahead: int) -> float | None:
        """How long one with so many before it waits for an agent, in seconds; None when nobody can tell."""


class DialAhead:
    """See the module.  A listener of the journal."""

    def __init__(self, line: Line, forecast: Forecast, answers: AnswerTimes, clock: IReactorTime) -> None:
        """``answers``: how long customers take to answer, as it is at any time."""
        self._line = line
        self._forecast = forecast
        self._clock = clock
        self._answers = answers
        self._waiting: dict[str, tuple[str, Deferred[None], float]] = {}
        """Contact -> its queue, what fires when its turn comes, and before when that is not."""
        self._dialled: dict[str, str] = {}
        """Contact that was dialled ahead and has no agent yet -> its queue."""
        self._timer: IDelayedCall | None = None
        self._stopped = False

    def turn(self, contact: str, queue: str, not_before: float = 0.0) -> Deferred[None]:
        """Fires when the customer of a contact that waits in the queue may be dialled ahead.  Cancel it.

        ``not_before``: until then it waits for one agent alone, of whom the forecast says nothing.
        """

        def forget(_: Deferred[None]) -> None:
            self._waiting.pop(contact, None)

        waiter: Deferred[None] = Deferred(forget)
        self._waiting[contact] = queue, waiter, not_before
        self._set(0.0)
        return waiter

    def dialled(self, contact: str, queue: str) -> None:
        """The customer is dialled ahead: counted until the contact has an agent or ends."""
        self._dialled[contact] = queue

    def take(self, sequence: int, event: Event) -> None:
        """What happens: a listener of the journal."""
        if isinstance(event, Answered | ContactEnded):
            self._dialled.pop(event.contact, None)

    def stop(self) -> None:
        """Nobody's turn comes any more."""
        self._stopped = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def _set(self, seconds: float) -> None:
        if not self._stopped and (self._timer is None or not self._timer.active()):
            self._timer = self._clock.callLater(seconds, self._look)

    def _look(self) -> None:
        enough = set[str]()  # queues in which one may not be dialled: nor may those behind
        for contact in sorted(self._waiting, key=self._ahead):
            if contact not in self._waiting:
                continue  # what became of another took it out of the line
            queue, waiter, not_before = self._waiting[contact]
            if queue in enough or self._clock.seconds() < not_before:
                continue
            if self._may_dial(self._ahead(contact), queue):
                del self._waiting[contact]
                waiter.callback(None)
            else:
                enough.add(queue)
        if self._waiting:
            self._set(LOOK_SECONDS)

    def _ahead(self, contact: str) -> float:
        """How many go before it; infinitely many: it is not in line."""
        try:
            return self._line.ahead(contact).get(self._waiting[contact][0], 0)
        except KeyError:
            return inf

    def _may_dial(self, ahead: float, queue: str) -> bool:
        expected: Callable[[int], float | None] = partial(self._forecast.after, queue)
        predicted = predicted_free(expected, self._answers.seconds(queue), MOST)
        dialled = sum(other == queue for other in self._dialled.values())
        return may_dial(ahead, dialled, predicted)
