"""When a customer may be called: by the clock on the customer's own wall.  Pure: ``now`` is an argument.

Where a customer lives is told, or guessed from the number.  A number may belong to several time zones: then the customer may
be called when that is right in each of them.  Numbers that may be nearly anywhere, such as toll-free ones, leave no such
time: they are called by the clock of the site.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import cast
from zoneinfo import ZoneInfo

import phonenumbers
from attrs import evolve, frozen
from holidays import HolidayBase
from phonenumbers.timezone import time_zones_for_number

from easycall.hours import HORIZON_DAYS, Hours, Span, public_holidays, zone_of

__all__ = ["CallingHours", "calling_hours"]

_DAY = 24 * 60
_WEEK = 7 * _DAY
"""In minutes, as what :class:`Span` tells."""

_WINTER, _SUMMER = datetime(2026, 1, 15), datetime(2026, 7, 15)
"""Zones are this far apart in one half of a year and in the other; of any year."""


@frozen
class CallingHours:
    """Of one customer.  The customer may live in several zones, as far as the number tells: all of them count."""

    zones: Sequence[tzinfo]
    """Never empty."""
    hours: Sequence[Hours] = ()
    """The same opening hours in each of the zones: all must be open; none: always open."""

    def also(self, hours: Hours | None) -> CallingHours:
        """The same customer, when other hours must be open too; None: nothing else must."""
        return self if hours is None else evolve(self, hours=(*self.hours, hours))

    def is_open(self, now: float) -> bool:
        """Whether the customer may be called."""
        return all(one.is_open(now) for one in self.hours)

    def opens(self, now: float) -> float | None:
        """When the customer may be called next, ``now`` included; None: not within the horizon of hours."""
        moment = now
        while moment < now + HORIZON_DAYS * 86_400.0:
            closed = [one.next_change(moment) for one in self.hours if not one.is_open(moment)]
            if None in closed:
                return None
            if not closed:
                return moment
            moment = max(opens for opens in closed if opens is not None)
        return None

    def open_seconds(self, begin: float, end: float) -> float:
        """For how many seconds from ``begin`` to ``end`` the customer may be called."""
        seconds, opens = 0.0, self.opens(begin)
        while opens is not None and opens < end:
            changes = (one.next_change(opens) for one in self.hours)
            closes = min((change for change in changes if change is not None), default=end)
            seconds += min(closes, end) - opens
            opens = self.opens(closes)
        return seconds

    def day_of(self, at: float) -> date:
        """The customer's day, in the first zone."""
        return datetime.fromtimestamp(at, self.zones[0]).date()

    def next_day(self, now: float) -> float:
        """When the customer's next day begins, in the first zone."""
        return datetime.combine(self.day_of(now) + timedelta(days=1), time(), self.zones[0]).timestamp()


def calling_hours(number: str, hours: Hours | None, zone: str, site: tzinfo) -> CallingHours:
    """Of the customer with this number (E.164).

    ``hours``: those of the configuration, None: always; ``zone``: the customer's time zone if it is known, empty: as the
    number tells; ``site``: the zone of those of whom nothing is known.

    Hours that are closed on holidays are closed on those of the customer's own country, as far as it is known.
    """
    zones, country = _home(number)
    return _calling_hours(_zones((zone,)) or zones or (site,), country, hours, site)


@lru_cache(maxsize=512)
def _calling_hours(zones: tuple[tzinfo, ...], country: str, hours: Hours | None, site: tzinfo) -> CallingHours:
    if hours is None or _never_closed(hours):
        return CallingHours(zones)
    if len(zones) > 1 and not _open_together(hours.week, zones):
        zones = (site,)
    closed = _holidays(hours.holidays, country)
    # Hours ask no more of a zone than every tzinfo gives.
    return CallingHours(zones, tuple(evolve(hours, zone=cast("ZoneInfo", zone), holidays=closed) for zone in zones))


# Where a customer lives


@lru_cache(maxsize=4096)
def _home(number: str) -> tuple[tuple[tzinfo, ...], str]:
    """The time zones that a number may belong to, and its country (ISO 3166); empty: it does not tell."""
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return (), ""
    return _zones(time_zones_for_number(parsed)), phonenumbers.region_code_for_number(parsed) or ""


@lru_cache(maxsize=512)
def _zones(names: tuple[str, ...]) -> tuple[tzinfo, ...]:
    """The zones of these names, without those that do not exist: ``Etc/Unknown`` is what an unknown one is called."""
    return tuple(_existing(names))


def _existing(names: Iterable[str]) -> Iterable[tzinfo]:
    for name in names:
        try:
            yield zone_of(name)
        except ValueError:
            continue


def _holidays(configured: Mapping[date, str], country: str) -> Mapping[date, str]:
    """The customer's own holidays, when the hours heed holidays at all; those of the same country are configured better."""
    calendar = configured if isinstance(configured, HolidayBase) else None  # it is empty until it is asked
    if not country or (calendar is None and not configured) or (calendar is not None and calendar.country == country):
        return configured
    try:
        return _of_country(country)
    except ValueError:
        return configured


_of_country = lru_cache(maxsize=256)(public_holidays)


# What a week is like


def _never_closed(hours: Hours) -> bool:
    whole = all(hours.week.get(day) == (Span(0, _DAY),) for day in range(7))
    return whole and not hours.days and not hours.holidays and not isinstance(hours.holidays, HolidayBase)


def _open_together(week: Mapping[int, tuple[Span, ...]], zones: Iterable[tzinfo]) -> bool:
    """Whether a common week, in winter and in summer, has a minute in which it is open in all zones."""
    there = _minutes(week)
    return all(_common(there, {_ahead(zone, day) for zone in zones}) for day in (_WINTER, _SUMMER))


def _minutes(week: Mapping[int, tuple[Span, ...]]) -> int:
    """A bit for each minute of the week in which it is open."""
    minutes = 0
    for day, spans in week.items():
        for span in spans:
            minutes |= ((1 << (span.end - span.begin)) - 1) << (day * _DAY + span.begin)
    return _round(minutes)


def _common(minutes: int, ahead: Iterable[int]) -> int:
    """The minutes of a week, in UTC, which belong to ``minutes`` on all walls that are so far ahead of UTC."""
    common = (1 << _WEEK) - 1
    for by in ahead:
        common &= _round(minutes << (-by % _WEEK))
    return common


def _round(minutes: int) -> int:
    """What is beyond the end of a week is at its beginning."""
    return (minutes | minutes >> _WEEK) & ((1 << _WEEK) - 1)


def _ahead(zone: tzinfo, day: datetime) -> int:
    """By how many minutes the wall is ahead of UTC."""
    return int((zone.utcoffset(day) or timedelta()).total_seconds() // 60)
