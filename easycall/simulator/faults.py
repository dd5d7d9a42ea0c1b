"""Races on demand: what may go wrong between Asterisk and who listens to it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from random import Random

__all__ = ["Chaos", "Faults"]


class Faults:
    """None at all.  A subclass says what goes wrong; each method is asked at the moment it could."""

    def event(self, name: str) -> Sequence[float] | None:
        """After how many seconds an event is told, once for each number; none: lost.  None: now, as usual.

        Events of one channel keep their order as far as a real Asterisk keeps it: its states, its being dialled and its
        bridges each by themselves; so do the states of one device.  Those of different channels and OriginateResponse,
        which belongs to none, overtake each other.
        """
        return None

    def originate(self) -> float:
        """How many seconds after its answer an Originate makes its channel: a Hangup sent before finds none."""
        return 0.0

    def loses_redirect(self) -> bool:
        """Whether this Redirect is answered with success and not carried out."""
        return False

    def parts(self) -> bool:
        """Whether a Bridge of two who talk already fails and sends both home, as on a real Asterisk every other one does."""
        return False


class Chaos(Faults):
    """Seeded: events late, doubled and lost, originates slow, a redirect lost now and then.

    Each share is of all events (or originates, redirects), from 0 to 1.
    """

    def __init__(
        self,
        seed: int,
        *,
        late: float = 0.2,
        doubled: float = 0.05,
        lost: float = 0.0,
        slow_originate: float = 0.5,
        lost_redirect: float = 0.0,
        parted: float = 0.5,
        seconds: float = 0.2,
        never_lost: Collection[str] = (),
    ) -> None:
        """``seconds``: the longest delay."""
        self._random = Random(seed)  # noqa: S311 - races, not secrets
        self._late, self._doubled, self._lost = late, doubled, lost
        self._slow_originate, self._lost_redirect, self._parted = slow_originate, lost_redirect, parted
        self._seconds = seconds
        self._never_lost = frozenset(never_lost)

    def event(self, name: str) -> Sequence[float] | None:
        """Late, doubled, lost, or as usual."""
        draw = self._random.random
        if draw() < self._lost and name not in self._never_lost:
            return ()
        delay = draw() * self._seconds if draw() < self._late else 0.0
        return (delay, delay + draw() * self._seconds) if draw() < self._doubled else (delay,)

    def originate(self) -> float:
        """Slow, or at once."""
        return self._random.random() * self._seconds if self._random.random() < self._slow_originate else 0.0

    def loses_redirect(self) -> bool:
        """Now and then."""
        return self._random.random() < self._lost_redirect

    def parts(self) -> bool:
        """Now and then."""
        return self._random.random() < self._parted
