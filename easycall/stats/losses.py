"""The counts of those who were lost on one day: how, and what became of them.

lost = unattended + open + recovered + given up.
"""

from __future__ import annotations

from collections import Counter
from enum import StrEnum

from attrs import define, field

__all__ = ["GIVEN_UP", "RECOVERED", "Fate", "Loss", "LostDay"]


class Loss(StrEnum):
    """How a contact was lost."""

    ABANDONED = "abandoned"
    """The caller broke off while waiting."""
    SHORT_ABANDONED = "short_abandoned"
    """The same, sooner than the queue calls back (``min_wait_seconds``): in no share."""
    CLOSED = "closed"
    FULL = "full"
    OVERFLOWED = "overflowed"
    """Another rule of the queue sent the caller away."""
    CALLBACK = "callback"
    """The caller asked to be called back."""
    FAILED = "failed"
    """Nobody ended it: an Asterisk died, say."""


class Fate(StrEnum):
    """What became of a lost contact."""

    UNATTENDED = "unattended"
    """Nothing: there is no callback."""
    OPEN = "open"
    """Its callback is open, or the customer has called in and waits."""
    CALLED_BACK = "called_back"
    """This and the next two are recovered: a callback reached the customer."""
    CALLED_IN = "called_in"
    """The customer called in again, and talked."""
    MET = "met"
    """An agent called the customer otherwise."""
    EXHAUSTED = "exhausted"
    """This and those below are given up: see :class:`~easycall.model.CallbackState`."""
    EXPIRED = "expired"
    REFUSED = "refused"
    CANCELLED = "cancelled"


RECOVERED = frozenset({Fate.CALLED_BACK, Fate.CALLED_IN, Fate.MET})
GIVEN_UP = frozenset({Fate.EXHAUSTED, Fate.EXPIRED, Fate.REFUSED, Fate.CANCELLED})


@define
class LostDay:
    """Those who came to a queue on one day and were lost."""

    counts: Counter[tuple[Loss, Fate]] = field(factory=Counter)
    again: int = 0
    """How often one of them was lost again that day, while nothing had come of the time before."""
    seconds: float = 0.0
    """From the loss until customer and agent talked, the sum of those who were called back."""

    def lost(self, *losses: Loss) -> int:
        """How many, of these sorts, or of all but the short ones."""
        return self._number(losses, frozenset(Fate))

    def recovered(self, *losses: Loss) -> int:
        """How many of them an agent has talked with since."""
        return self._number(losses, RECOVERED)

    def given_up(self, *losses: Loss) -> int:
        """How many of them nobody will call any more."""
        return self._number(losses, GIVEN_UP)

    def of(self, fate: Fate, *losses: Loss) -> int:
        """How many of them had this fate."""
        return self._number(losses, frozenset({fate}))

    @property
    def share(self) -> float | None:
        """recovered / lost, without those who broke off at once; None while there were none."""
        lost = self.lost()
        return self.recovered() / lost if lost else None

    @property
    def mean_seconds(self) -> float | None:
        """From the loss until customer and agent talked, the mean of those who were called back; None: nobody was."""
        called = self.of(Fate.CALLED_BACK, *Loss)
        return self.seconds / called if called else None

    def _number(self, losses: tuple[Loss, ...], fates: frozenset[Fate]) -> int:
        wanted = frozenset(losses) or frozenset(Loss) - {Loss.SHORT_ABANDONED}
        return sum(count for (loss, fate), count in self.counts.items() if loss in wanted and fate in fates)
