"""How many customers may be dialled before agents are free for them.  Pure.

Who waits for a customer's telephone to be answered loses time, so a customer is dialled as soon as an agent is likely to be
free by the time the customer answers: no sooner, as a customer who answers and finds nobody there was called in vain.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from statistics import median
from typing import ClassVar

from easycall.events import CallAnswered, CallDialled, CallFailed, Event

__all__ = ["AnswerTimes", "may_dial", "predicted_free"]

USUAL_SECONDS = 10.0
"""How long customers take to answer, as long as little is known of them."""

SHORTEST_SECONDS, LONGEST_SECONDS = 3.0, 40.0
"""No other estimate is given, whatever was seen."""

ENOUGH = 5
"""How many must have answered before they are believed."""

LAST = 50
"""How many of the latest are."""

RINGING = 1000
"""Of so many telephones that ring it is remembered since when; of more, the oldest are forgotten."""

LEARNT_SECONDS = 7 * 86_400.0
"""What is older is not read back after a restart."""


def predicted_free(expected: Callable[[int], float | None], within: float, most: int) -> int:
    """How many agents will be free, or be free already, in ``within`` seconds; ``most`` at most.

    ``expected``: how many contacts are ahead of one -> the forecast of the seconds until an agent is free for it, which
    rises with them; None: nobody can tell, and then nobody is counted.
    """
    for ahead in range(most):
        seconds = expected(ahead)
        if seconds is None or seconds > within:
            return ahead
    return max(0, most)


def may_dial(ahead: float, dialled: int, predicted: int) -> bool:
    """Whether a customer in line may be dialled before an agent is free.

    ``ahead``: how many contacts are before this one in line; ``dialled``: how many customers of the queue, before or behind
    it, were dialled like this and have no agent yet; ``predicted``: how many agents will be free (:func:`predicted_free`).
    """
    return ahead < predicted and dialled < predicted


class AnswerTimes:
    """How long the customers of each queue take to answer, of those who do.  A :class:`easycall.stats.history.Figure`."""

    name: ClassVar[str] = "answer_times"
    kinds: ClassVar[Sequence[type[Event]]] = (CallDialled, CallAnswered, CallFailed)

    def __init__(self) -> None:
        self._ringing: dict[str, CallDialled] = {}
        """Leg -> since when it rings, the longest first."""
        self._seconds: dict[str, deque[float]] = {}
        """Queue -> how long the latest took."""

    def seconds(self, queue: str) -> float:
        """How long the next customer of a queue will take to answer, in seconds: the median of the latest."""
        seen = self._seconds.get(queue, ())
        if len(seen) < ENOUGH:
            return USUAL_SECONDS
        return min(LONGEST_SECONDS, max(SHORTEST_SECONDS, median(seen)))

    # A figure

    def since(self, now: float) -> float:
        """From which moment on it is learnt."""
        return now - LEARNT_SECONDS

    def anew(self) -> AnswerTimes:
        """Nothing learnt yet."""
        return AnswerTimes()

    def become(self, other: AnswerTimes) -> None:
        """Know what the other one knows, which is not used any more."""
        self._ringing, self._seconds = other._ringing, other._seconds

    def take(self, sequence: int, event: Event) -> None:
        """A listener of the journal."""
        match event:
            case CallDialled(purpose="customer"):
                self._ringing[event.leg] = event
                if len(self._ringing) > RINGING:
                    del self._ringing[next(iter(self._ringing))]
            case CallAnswered():
                if (dialled := self._ringing.pop(event.leg, None)) is not None:
                    self._seconds.setdefault(dialled.queue, deque(maxlen=LAST)).append(event.at - dialled.at)
            case CallFailed():
                self._ringing.pop(event.leg, None)
