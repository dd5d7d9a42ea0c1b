"""Opening hours: when something is open, why not, and when that changes.  Pure: ``now`` is an argument.

Open is whenever **the clock on the wall** of the time zone shows a time that belongs to a span of the day.  So a change of
the clock needs no rule of its own: an hour that is left out is not open, one that comes twice is open twice.  A span over
midnight belongs to the day on which it begins, also when the next day is a holiday.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import holidays
from attrs import field, frozen

__all__ = ["WEEKDAYS", "Hours", "Opening", "Span", "public_holidays", "spans_of", "weekdays_of", "zone_of"]

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

HORIZON_DAYS = 400
"""How far ahead a change is looked for: what is closed until then is closed for good."""

_DAY = 24 * 60
_SPAN = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-(?:([01][0-9]|2[0-3]):([0-5][0-9])|24:00)")


@frozen(order=True)
class Span:
    """From one minute of a day to another, which is the first that does not belong to it."""

    begin: int
    """Minutes since midnight on the wall."""
    end: int
    """The same; beyond 1440 when it ends on the day after."""


@frozen
class Opening:
    """How things stand at one moment."""

    open: bool
    why: str
    """In words: ``open``, ``closed``, ``open: special day``, ``closed: holiday Tag der Arbeit``."""
    until: float | None
    """When it opens or closes next, in seconds since the epoch; None: not within :data:`HORIZON_DAYS`."""


@frozen(eq=False)
class Hours:
    """Opening hours of one name."""

    name: str
    zone: ZoneInfo
    week: Mapping[int, tuple[Span, ...]]
    """Day of the week, Monday is 0 -> its spans; a day that is not there is closed."""
    days: Mapping[date, tuple[Span, ...]] = field(factory=dict)
    """Special days: they go before the week and before holidays."""
    holidays: Mapping[date, str] = field(factory=dict)
    """Holidays, which are closed -> their names."""

    def is_open(self, now: float) -> bool:
        """Whether it is open."""
        return self.at(now).open

    def next_change(self, now: float) -> float | None:
        """When it opens or closes next; None: not within :data:`HORIZON_DAYS`."""
        return self.at(now).until

    def open_seconds(self, begin: float, end: float) -> float:
        """How many seconds from ``begin`` to ``end`` it is open."""
        seconds, now = 0.0, begin
        while now < end:
            opening = self.at(now)
            until = end if opening.until is None else min(opening.until, end)
            seconds += (until - now) * opening.open
            now = until
        return seconds

    def at(self, now: float) -> Opening:
        """How things stand at ``now``."""
        return _opening(self, int(now // 60))

    def plan(self, day: date) -> tuple[tuple[Span, ...], str]:
        """The spans that begin on a day, and what is particular about it in words; empty: nothing is."""
        if (special := self.days.get(day)) is not None:
            return special, "special day"
        if holiday := self.holidays.get(day):
            return (), f"holiday {holiday}"
        return self.week.get(day.weekday(), ()), ""


@lru_cache(maxsize=1024)
def _opening(hours: Hours, minute: int) -> Opening:
    """How things stand in a minute since the epoch: nothing changes within one, as every zone is off by whole minutes."""
    is_open, particular = _shown(hours, minute)
    why = f"{'open' if is_open else 'closed'}{': ' if particular else ''}{particular}"
    return Opening(is_open, why, _until(hours, minute, is_open))


def _shown(hours: Hours, minute: int) -> tuple[bool, str]:
    """Whether it is open in a minute, and what is particular about the day that decides."""
    wall = datetime.fromtimestamp(minute * 60, hours.zone)
    today, at = wall.date(), wall.hour * 60 + wall.minute
    spans, particular = hours.plan(today)
    if any(span.begin <= at < span.end for span in spans):
        return True, particular
    before, particular_before = hours.plan(today - timedelta(days=1))
    if any(span.begin <= at + _DAY < span.end for span in before):
        return True, particular_before
    return False, particular


def _until(hours: Hours, minute: int, is_open: bool) -> float | None:
    """The first moment after a minute in which it is not as ``is_open`` says."""
    today = datetime.fromtimestamp(minute * 60, hours.zone).date()
    for ahead in range(HORIZON_DAYS):
        for moment in sorted(set(_moments(hours, today + timedelta(days=ahead)))):
            if moment > minute and _shown(hours, moment)[0] is not is_open:
                return moment * 60.0
    return None


def _moments(hours: Hours, day: date) -> Iterator[int]:
    """The minutes since the epoch in which something may change on a day: there spans begin or end, or the clock jumps."""
    before, today = hours.plan(day - timedelta(days=1))[0], hours.plan(day)[0]
    edges = {edge for span in today for edge in (span.begin, span.end)} | {span.end - _DAY for span in before}
    for edge in edges:
        if 0 <= edge < _DAY:
            yield from (_minute(hours, day, edge, fold) for fold in (0, 1))
    first, last = _minute(hours, day, 0, 0), _minute(hours, day + timedelta(days=1), 0, 0)
    if _offset(hours, first) != _offset(hours, last):
        while last - first > 1:
            middle = (first + last) // 2
            first, last = (middle, last) if _offset(hours, middle) == _offset(hours, first) else (first, middle)
        yield last


def _minute(hours: Hours, day: date, at: int, fold: int) -> int:
    """The minute since the epoch in which the wall shows ``at`` for the first (``fold`` 0) or the second time that day."""
    wall = datetime.combine(day, time(at // 60, at % 60, fold=fold), hours.zone)
    return int(wall.timestamp() // 60)


def _offset(hours: Hours, minute: int) -> timedelta | None:
    return datetime.fromtimestamp(minute * 60, hours.zone).utcoffset()


# Reading what people write


def spans_of(texts: Collection[str]) -> tuple[Span, ...]:
    """Spans such as ``08:00-12:00``, in their order; ``22:00-02:00`` ends on the day after, ``00:00-24:00`` is all day.

    Raises ValueError for what is no span, and when two have a minute in common.
    """
    spans = tuple(sorted(map(_span, texts)))
    for one, following in pairwise(spans):
        if following.begin < one.end:
            raise ValueError(f"spans overlap: {', '.join(texts)}")
    return spans


def _span(text: str) -> Span:
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no span such as 08:00-12:00")
    begin = int(match[1]) * 60 + int(match[2])
    end = int(match[3]) * 60 + int(match[4]) if match[3] else _DAY
    if begin == end:
        raise ValueError(f"{text!r} is empty; all day is 00:00-24:00")
    return Span(begin, end if end > begin else end + _DAY)


def weekdays_of(text: str) -> tuple[int, ...]:
    """The days that ``mon`` or ``mon-fri`` or ``sat-mon`` names, Monday is 0.  Raises ValueError."""
    first, _, last = text.partition("-")
    begin, end = WEEKDAYS.index(first), WEEKDAYS.index(last) if "-" in text else WEEKDAYS.index(first)
    return tuple(day % 7 for day in range(begin, end + 1 if end >= begin else end + 8))


def zone_of(name: str) -> ZoneInfo:
    """The time zone of that name, such as ``Europe/Berlin``.  Raises ValueError."""
    try:
        return ZoneInfo(name)
    except (KeyError, OSError) as error:
        raise ValueError(f"there is no time zone {name!r}") from error


def public_holidays(country: str, subdivision: str = "") -> Mapping[date, str]:
    """The holidays of a country (ISO 3166: ``DE``) or a part of it (``BY``), named in its language.  Raises ValueError.

    The years are worked out as they are asked for.
    """
    try:
        known = holidays.country_holidays(country, subdiv=subdivision or None)
        return holidays.country_holidays(country, subdiv=subdivision or None, language=known.default_language)
    except NotImplementedError as error:
        raise ValueError(str(error)) from error
