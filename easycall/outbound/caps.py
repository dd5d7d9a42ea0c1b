"""How often numbers are dialled: counted, and refused beyond what the configuration allows.  Pure.

Who steals calls (toll fraud) has a token or an agent's desktop, so even what is allowed is dialled only so often: for one
agent, one queue, one customer, one number, and the whole site.  Days and hours are not those of the calendar: what counts is
the last 24 hours, the last hour.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Any

from attrs import field, frozen

from easycall.config import DialingSettings
from easycall.outbound.rules import NotDialled, Why

__all__ = ["DAY", "Call", "Caps", "Counted", "Window"]

DAY = 24 * 3600.0
HOUR = 3600.0


@frozen
class Call:
    """A number that is dialled, and for whom."""

    number: str
    agent: str
    queue: str
    customer: bool
    """Whether it is a customer's, or of somebody whom an agent asks or to whom a customer is given."""


class Window:
    """When something happened to a key, in the last so many seconds.

    What happened may be told late, so that something newer is known already.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._all: deque[tuple[float, str]] = deque()
        self._times: dict[str, deque[float]] = {}

    def add(self, key: str, at: float) -> None:
        """It happened."""
        _put(self._all, (at, key))
        _put(self._times.setdefault(key, deque()), at)

    def remove(self, key: str, at: float) -> None:
        """It did not happen after all."""
        times = self._times.get(key)
        if times is not None and at in times:
            times.remove(at)  # what is left in _all expires in time and finds nothing

    def count(self, key: str, now: float) -> int:
        """How often it happened in the seconds before ``now``."""
        while self._all and self._all[0][0] <= now - self.seconds:
            self._expire(self._all.popleft()[1], now)
        return len(self._times.get(key, ()))

    def room(self, key: str, most: int, now: float) -> float:
        """Seconds until it has happened less than ``most`` times; 0 when it has now."""
        over = self.count(key, now) - most
        return max(0.0, next(islice(self._times[key], over, None)) + self.seconds - now) if over >= 0 else 0.0

    def _expire(self, key: str, now: float) -> None:
        times = self._times.get(key)
        if times is None:
            return
        while times and times[0] <= now - self.seconds:
            times.popleft()
        if not times:
            del self._times[key]


def _put(row: deque[Any], what: Any) -> None:
    """Into its place in an ordered row, which is nearly always the end."""
    if not row or what >= row[-1]:
        row.append(what)
    else:
        row.insert(bisect_right(row, what), what)


@frozen
class _Cap:
    """One cap."""

    option: str
    most: int
    window: Window
    key: Callable[[Call], str]
    """What of a call is counted; ``""``: this cap is not about it."""
    text: str
    """Why no more are dialled, for whoever asked."""


@frozen
class Caps:
    """The caps of one site, and what was dialled."""

    settings: DialingSettings
    _caps: tuple[_Cap, ...] = field(init=False)

    @_caps.default
    def _of_settings(self) -> tuple[_Cap, ...]:
        most = self.settings
        return (
            _Cap(
                "calls_per_customer",
                most.calls_per_customer,
                Window(DAY),
                lambda call: call.number if call.customer else "",
                "{0.number} was called {1} times in 24 hours",
            ),
            _Cap(
                "calls_per_number",
                most.calls_per_number,
                Window(DAY),
                lambda call: call.number,
                "{0.number} was dialled {1} times in 24 hours",
            ),
            _Cap(
                "calls_per_agent",
                most.calls_per_agent,
                Window(DAY),
                lambda call: call.agent,
                "{1} numbers were dialled for agent {0.agent} in 24 hours",
            ),
            _Cap(
                "calls_per_queue",
                most.calls_per_queue,
                Window(HOUR),
                lambda call: call.queue,
                "{1} numbers were dialled for queue {0.queue} within the hour",
            ),
            _Cap(
                "calls_per_day",
                most.calls_per_day,
                Window(DAY),
                lambda call: "*",
                "{1} numbers were dialled here in 24 hours",
            ),
        )

    def check(self, call: Call, now: float) -> None:
        """Raises NotDialled, with when it can be dialled again, if a cap is reached."""
        for cap in self._caps:
            key = cap.key(call)
            if key and (seconds := cap.window.room(key, cap.most, now)) > 0:
                why = cap.text.format(call, cap.most)
                text = f"{why}: dialing.{cap.option} allows no more; again in {_spoken(seconds)}"
                raise NotDialled(Why.CAPPED, text, seconds)

    def count(self, call: Call, at: float) -> Counted:
        """The call is made, or about to be."""
        for cap in self._caps:
            if key := cap.key(call):
                cap.window.add(key, at)
        return Counted(self, call, at)

    def forget(self, call: Call, at: float) -> None:
        """It was not made."""
        for cap in self._caps:
            if key := cap.key(call):
                cap.window.remove(key, at)


class Counted:
    """A call that is counted; unless it is dialled it can be taken back."""

    def __init__(self, caps: Caps, call: Call, at: float) -> None:
        self._caps = caps
        self.call = call
        self._at = at
        self._settled = False

    def dialled(self) -> None:
        """It stays counted."""
        self._settled = True

    def release(self) -> None:
        """It came to nothing: it does not count, unless the number was dialled.  A second time does nothing."""
        if not self._settled:
            self._settled = True
            self._caps.forget(self.call, self._at)


def _spoken(seconds: float) -> str:
    minutes = math.ceil(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{math.ceil(minutes / 60)} h"
