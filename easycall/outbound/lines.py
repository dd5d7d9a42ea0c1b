"""The lines of the trunks: counted, taken before a number is dialled, given back when the call is over."""

from __future__ import annotations

import re
from bisect import insort
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import count

from easycall.model import Trunk

__all__ = ["Line", "Lines"]


class Line:
    """One line in use."""

    def __init__(self, lines: Lines, trunk: str) -> None:
        self._lines = lines
        self.trunk = trunk
        self._given_back = False

    def release(self) -> None:
        """The line is free again.  A second time does nothing."""
        if not self._given_back:
            self._given_back = True
            self._lines.released(self.trunk)


class Lines:
    """The lines of all trunks."""

    def __init__(self, trunks: Iterable[Trunk]) -> None:
        self._lines = {trunk.name: trunk.lines for trunk in trunks}
        self._used: Counter[str] = Counter()
        self._endpoints = {(trunk.asterisk, _endpoint(trunk.dial)): trunk.name for trunk in trunks}
        self._waiting: list[tuple[float, int, frozenset[str], Callable[[], None]]] = []
        """Who waits for a line: since when, which of these came first, of which trunks, and what tells."""
        self._numbers = count()

    def used(self, trunk: str) -> int:
        """How many lines of a trunk are in use, calls from outside among them."""
        return self._used[trunk]

    def free(self, trunk: str) -> int:
        """How many are free; never negative, though more calls may come in than were counted on."""
        return max(0, self._lines[trunk] - self._used[trunk])

    def take(self, trunk: str) -> Line | None:
        """A line to dial on; None: none is free."""
        return self._occupied(trunk) if self.free(trunk) else None

    def in_use(self, trunk: str) -> Line | None:
        """The line of a call that a process before us dialled; None: there is no such trunk any more."""
        return self._occupied(trunk) if trunk in self._lines else None

    def occupy(self, pbx: str, endpoint: str) -> Line | None:
        """A call from outside has a line, whether we counted on it or not; None: the endpoint is no trunk of ours.

        ``endpoint``: as Asterisk names it with its technology, ``PJSIP/carrier``.
        """
        trunk = self._endpoints.get((pbx, endpoint))
        return self._occupied(trunk) if trunk and endpoint else None

    def _occupied(self, trunk: str) -> Line:
        self._used[trunk] += 1
        return Line(self, trunk)

    def wait(self, trunks: Iterable[str], since: float, told: Callable[[], None]) -> Callable[[], None]:
        """Call ``told`` once, when a line of one of the trunks is given back: whoever waits longest is told, nobody else.

        Returns how to stop that.
        """
        waiter = since, next(self._numbers), frozenset(trunks), told
        insort(self._waiting, waiter)

        def stop() -> None:
            if waiter in self._waiting:
                self._waiting.remove(waiter)

        return stop

    def released(self, trunk: str) -> None:
        """One line less is in use."""
        self._used[trunk] -= 1
        first = next((one for one in self._waiting if trunk in one[2]), None) if self.free(trunk) else None
        if first is not None:
            self._waiting.remove(first)
            first[-1]()


def _endpoint(dial: str) -> str:
    """``PJSIP/{number}@carrier`` and ``PJSIP/carrier/sip:{number}@host`` -> ``PJSIP/carrier``."""
    technology, _, rest = dial.partition("/")
    name, found, _ = rest.partition("/")
    if not found:
        name = rest.rpartition("@")[2]
    return f"{technology}/{name}" if re.fullmatch(r"[A-Za-z0-9_.-]+", name) else ""
