"""When callers call: a Poisson process whose rate follows the hours of a day.  Pure but for the dice it is given."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from random import Random

__all__ = ["HOURLY", "arrivals"]

HOURLY: Sequence[float] = (
    *(0.4, 0.3, 0.2, 0.2, 0.3, 0.6, 1.6, 3.5, 6.5, 8.5, 9.0, 8.5),
    *(7.5, 7.5, 8.0, 8.0, 7.0, 5.5, 4.3, 3.5, 2.6, 1.9, 1.2, 0.7),
)
"""How many call in each hour, in proportion."""


def arrivals(number: int, random: Random, hourly: Sequence[float] = HOURLY) -> list[float]:
    """The moments of exactly ``number`` calls within a day, in seconds since its beginning, in order.

    A Poisson process, given how many come in all, is so many moments drawn independently by its rate.
    """
    until = list(accumulate(hourly))
    moments = []
    for _ in range(number):
        mark = random.random() * until[-1]
        hour = min(bisect_right(until, mark), len(hourly) - 1)
        moments.append((hour + 1 - (until[hour] - mark) / hourly[hour]) * 3600.0)
    return sorted(moments)
