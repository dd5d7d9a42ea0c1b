"""What each contact would do if the day went otherwise: how long it waits, and how long it keeps an agent.  Pure.

Of who gave up the patience is known.  Of who was answered is known only that it was longer than the wait: such a one draws
from what the others teach, the product-limit estimate of the day (Kaplan and Meier 1958)::

    S(t) = Π (1 − left at tᵢ / waiting at tᵢ)   for all tᵢ ≤ t

given that one has waited so long already.  Beyond the last who gave up, the chance to give up is the same in every second.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter, neg

from attrs import evolve, frozen

from easycall.acd.replay.day import Day, Ending, Fate, Unanswered

__all__ = ["ENOUGH_LEFT", "USUAL", "Conduct", "Handling", "Patience", "conducts"]

ENOUGH_LEFT = 30
"""How many must have given up in a queue before its own estimate is taken and not that of all queues."""


@frozen
class Handling:
    """How long an agent is kept."""

    ring: float
    talk: float
    wrap_up: float


USUAL = Handling(5.0, 180.0, 10.0)
"""What is believed when nobody was answered."""


@frozen
class Conduct:
    """What the contact of a stay does by itself."""

    leaves: float
    """When it leaves the queue unless answered; infinity: never."""
    ends: Ending
    """How that is counted."""
    handling: Handling
    unanswered: Sequence[Unanswered] = ()
    """The offers that come to nothing before one is answered."""


class Patience:
    """The estimate from waits that ended by giving up (True) or otherwise (False: it was longer than that)."""

    def __init__(self, waits: Iterable[tuple[float, bool]]) -> None:
        seen = sorted((max(0.0, seconds), not left) for seconds, left in waits)  # who gave up at a moment comes first
        self._times: list[float] = []
        self._survival: list[float] = []
        """The share who wait longer than that."""
        self.left = 0
        share, waiting = 1.0, len(seen)
        for seconds, stayed in seen:
            if not stayed:
                self.left += 1
                share *= 1 - 1 / waiting
                self._times.append(seconds)
                self._survival.append(share)
            waiting -= 1
        waited = sum(seconds for seconds, _ in seen)
        self._rate = self.left / waited if waited else 0.0

    def beyond(self, waited: float, chance: float) -> float:
        """How long one waits who has waited so long already, if only the share ``chance`` of those leaves earlier.

        Infinity when nobody ever gave up.
        """
        if not self._rate:
            return math.inf
        first = bisect_right(self._times, waited)
        if first == len(self._times):
            return waited - math.log(1 - chance) / self._rate
        target = (self._survival[first - 1] if first else 1.0) * (1 - chance)
        index = bisect_left(self._survival, -target, lo=first, key=neg)
        if index < len(self._times):
            return self._times[index]
        return self._times[-1] + math.log(self._survival[-1] / target) / self._rate


def conducts(day: Day, dice: Callable[[], float]) -> dict[str, Conduct]:
    """Stay -> what its contact does by itself.  ``dice`` gives numbers from 0 to 1, 1 excluded: two for each stay."""
    patience = _patience(day)
    known = _handlings(day)
    found = {}
    for stay in day.stays:
        fate, chance, other = day.fates[stay.id], dice(), dice()
        kept = known.get((stay.queue, stay.channel)) or known.get(("", "")) or [USUAL]
        handling = _handling(fate) or _drawn(kept, day.rung.get(stay.id, 0.0), other)
        leaves, ends = fate.at, fate.how
        if fate.how in (Ending.ANSWERED, Ending.WAITING):
            leaves, ends = stay.at + patience[stay.queue].beyond(fate.at - stay.at, chance), Ending.ABANDONED
        found[stay.id] = Conduct(leaves, ends, handling, day.unanswered.get(stay.id, ()))
    return found


def _patience(day: Day) -> Mapping[str, Patience]:
    """Queue -> the estimate to be taken there."""
    waits: dict[str, list[tuple[float, bool]]] = {}
    for stay in day.stays:
        fate = day.fates[stay.id]
        waits.setdefault(stay.queue, []).append((fate.at - stay.at, fate.how is Ending.ABANDONED))
    everywhere = Patience(wait for some in waits.values() for wait in some)
    own = {queue: Patience(some) for queue, some in waits.items()}
    return {queue: one if one.left >= ENOUGH_LEFT else everywhere for queue, one in own.items()}


def _handling(fate: Fate) -> Handling | None:
    """How long the agent was kept, if that is known."""
    if fate.how is not Ending.ANSWERED or not fate.freed:
        return None
    return Handling(fate.at - fate.reserved, fate.parted - fate.at, fate.freed - fate.parted)


def _drawn(kept: Sequence[Handling], rung: float, chance: float) -> Handling:
    """One of those, sorted by their ringing, for a phone that is known to have rung for so long and longer."""
    first = bisect_right(kept, rung, key=attrgetter("ring")) if rung else 0
    if first < len(kept):
        return kept[first + int(chance * (len(kept) - first))]
    return evolve(kept[-1], ring=rung + kept[-1].ring)


def _handlings(day: Day) -> Mapping[tuple[str, str], Sequence[Handling]]:
    """Queue and channel -> how long agents were kept; ("", ""): everywhere."""
    found: dict[tuple[str, str], list[Handling]] = {}
    for stay in day.stays:
        handling = _handling(day.fates[stay.id])
        if handling is not None:
            found.setdefault((stay.queue, stay.channel), []).append(handling)
            found.setdefault(("", ""), []).append(handling)
    for some in found.values():
        some.sort(key=attrgetter("ring"))
    return found
