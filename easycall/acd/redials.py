"""Callers who broke off while they waited, and may have their place back.  Pure.

Kept in memory only: a restart of the daemon forgets them.
"""

from __future__ import annotations

from collections import OrderedDict

from attrs import frozen

__all__ = ["Abandoned", "Redials"]


@frozen
class Abandoned:
    """A place in line that its caller gave up."""

    contact: str
    enqueued: float
    """Since when it counted as waiting."""
    at: float
    """When it was given up."""


class Redials:
    """The latest of each number and queue, the oldest first."""

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._given_up: OrderedDict[tuple[str, str], Abandoned] = OrderedDict()

    def __len__(self) -> int:
        return len(self._given_up)

    def abandoned(self, number: str, queue: str, place: Abandoned) -> None:
        """A caller with this number gave a place up; an empty number belongs to nobody."""
        if number:
            self._given_up.pop((number, queue), None)
            self._given_up[number, queue] = place
            if len(self._given_up) > self._most:
                self._given_up.popitem(last=False)

    def resume(self, number: str, queue: str, seconds: float, now: float) -> Abandoned | None:
        """The place that a caller with this number gave up in the last so many seconds; it is given once."""
        place = self._given_up.pop((number, queue), None)
        return place if place is not None and now < place.at + seconds else None
