"""Opening hours, held against a scan of every minute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from easycall.hours import Hours, Span, public_holidays, spans_of, weekdays_of, zone_of

BERLIN = ZoneInfo("Europe/Berlin")
WEEK = dict.fromkeys(range(5), ("08:00-12:00", "13:00-18:00"))


def hours(week: Mapping[int, Sequence[str]] = WEEK, zone: ZoneInfo = BERLIN, **days: Sequence[str]) -> Hours:
    special = {date.fromisoformat(day[1:].replace("_", "-")): spans_of(spans) for day, spans in days.items()}
    return Hours("office", zone, {day: spans_of(spans) for day, spans in week.items()}, special, public_holidays("DE", "BY"))


def at(text: str, zone: ZoneInfo = BERLIN, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp()


@pytest.mark.requirement("V1")
@pytest.mark.parametrize(
    ("when", "why", "until"),
    [
        ("2026-11-17 08:00", "open", "2026-11-17 12:00"),
        ("2026-11-17 11:59:59.999", "open", "2026-11-17 12:00"),
        ("2026-11-17 12:00", "closed", "2026-11-17 13:00"),
        ("2026-11-20 18:00", "closed", "2026-11-23 08:00"),  # Friday
        ("2026-04-30 18:30", "closed", "2026-05-04 08:00"),
        ("2026-05-01 10:00", "closed: holiday Erster Mai", "2026-05-04 08:00"),
        ("2026-12-24 10:00", "open: special day", "2026-12-24 11:00"),
        ("2026-12-24 12:00", "closed: special day", "2026-12-26 10:00"),
        ("2026-12-26 10:00", "open: special day", "2026-12-26 11:00"),  # a holiday on which one opens
    ],
)
def test_a_year_in_an_office(when: str, why: str, until: str) -> None:
    office = hours(d2026_12_24=["09:00-11:00"], d2026_12_26=["10:00-11:00"])
    now = at(when)
    opening = office.at(now)
    assert (opening.why, opening.until) == (why, at(until))
    assert opening.open is why.startswith("open") is office.is_open(now)
    assert office.next_change(now) == opening.until


def test_what_never_changes() -> None:
    always, never = hours(dict.fromkeys(range(7), ("00:00-24:00",))), hours({})
    always = Hours("always", BERLIN, always.week)
    assert (always.is_open(at("2026-05-01 10:00")), always.next_change(at("2026-05-01 10:00"))) == (True, None)
    assert (never.is_open(at("2026-11-17 10:00")), never.next_change(at("2026-11-17 10:00"))) == (False, None)


def test_a_span_over_midnight_belongs_to_the_day_on_which_it_begins() -> None:
    bar = hours({3: ("22:00-02:00",)})  # Thursday
    assert bar.is_open(at("2026-05-01 01:59"))  # a holiday
    assert not bar.is_open(at("2026-05-01 02:00"))
    assert not bar.is_open(at("2026-05-01 22:30"))


@pytest.mark.parametrize(
    ("now", "fold", "is_open", "until"),
    [
        ("2026-03-29 01:59", 0, False, "2026-03-29 03:00"),  # the clock jumps from 02:00 to 03:00, into the span
        ("2026-03-29 03:10", 0, True, "2026-03-29 03:30"),
        ("2026-10-25 02:10", 0, False, "2026-10-25 02:15"),
        ("2026-10-25 02:20", 0, True, None),  # until the hour comes again
        ("2026-10-25 02:10", 1, False, None),
    ],
)
def test_when_the_clock_changes(now: str, fold: int, is_open: bool, until: str | None) -> None:
    night = hours({6: ("02:15-03:30",)})
    opening = night.at(at(now, fold=fold))
    again = {0: at("2026-10-25 02:00", fold=1), 1: at("2026-10-25 02:15", fold=1)}[fold]
    assert (opening.open, opening.until) == (is_open, again if until is None else at(until))


# Against every minute

CHANGES = {
    "Europe/Berlin": ("2026-03-29", "2026-10-25"),
    "America/New_York": ("2026-03-08", "2026-11-01"),
    "Australia/Lord_Howe": ("2026-04-05", "2026-10-04"),  # by half an hour
    "America/Havana": ("2026-03-08", "2026-11-01"),  # at midnight
    "Africa/Cairo": ("2026-04-24", "2026-10-29"),  # at midnight, the day after begins at one
    "Asia/Shanghai": ("2026-05-01",),
    "Asia/Kathmandu": ("2026-05-01",),
}
MOMENTS = [(zone, day) for zone, days in CHANGES.items() for day in days]


@st.composite
def some_spans(draw: st.DrawFn) -> tuple[Span, ...]:
    """None to three spans that do not overlap, the last perhaps over midnight."""
    edges = sorted(draw(st.sets(st.integers(0, 2 * 1440).filter(lambda edge: edge % 5 == 0), max_size=6)))
    spans = [Span(*pair) for pair in zip(edges[::2], edges[1::2], strict=False)]
    return tuple(span for span in spans if span.begin < 1440 and span.end - span.begin <= 1440)


@st.composite
def some_hours(draw: st.DrawFn) -> tuple[Hours, int]:
    """Hours, and the minute since the epoch two days before a change of the clock."""
    zone, text = draw(st.sampled_from(MOMENTS))
    day = date.fromisoformat(text)
    near = st.sampled_from([day + timedelta(days=away) for away in range(-3, 4)])
    made = Hours(
        "some",
        ZoneInfo(zone),
        draw(st.dictionaries(st.integers(0, 6), some_spans())),
        draw(st.dictionaries(near, some_spans(), max_size=2)),
        draw(st.dictionaries(near, st.just("Holiday"), max_size=2)),
    )
    return made, int((datetime.combine(day, datetime.min.time(), UTC) - timedelta(days=2)).timestamp()) // 60


def scanned(hours: Hours, minute: int) -> bool:
    """Whether the wall shows a time of some span of this day or the one before."""
    wall = datetime.fromtimestamp(minute * 60, UTC).astimezone(hours.zone)
    for back in (0, 1):
        day = wall.date() - timedelta(days=back)
        spans = hours.days.get(day, () if day in hours.holidays else hours.week.get(day.weekday(), ()))
        at = wall.hour * 60 + wall.minute + back * 1440
        if any(at in range(span.begin, span.end) for span in spans):
            return True
    return False


@settings(deadline=None)
@given(some_hours(), st.integers(0, 1440), st.floats(0, 59.999))
def test_every_minute_over_both_changes_of_the_clock(drawn: tuple[Hours, int], ahead: int, second: float) -> None:
    hours, first = drawn
    states = [scanned(hours, first + minute) for minute in range(4 * 1440)]
    now = (first + ahead) * 60 + second
    assert hours.is_open(now) is states[ahead]
    changed = next((minute for minute in range(ahead, len(states)) if states[minute] is not states[ahead]), None)
    until = hours.next_change(now)
    if changed is None:
        assert until is None or until >= (first + len(states)) * 60
    else:
        assert until == (first + changed) * 60


@settings(deadline=None)
@given(some_hours())
def test_every_change_is_told_once(drawn: tuple[Hours, int]) -> None:
    """Who waits from change to change misses none: so nothing has to poll."""
    hours, first = drawn
    states = [scanned(hours, first + minute) for minute in range(4 * 1440)]
    changes = [first + at for at in range(1, len(states)) if states[at] is not states[at - 1]]
    told, now = [], first * 60.0
    while (following := hours.next_change(now)) is not None and following < (first + len(states)) * 60:
        assert following > now
        told.append(int(following) // 60)
        now = following
    assert told == changes


# What people write


def test_spans_are_read_in_their_order() -> None:
    assert spans_of(["13:00-18:00", "08:00-12:00"]) == (Span(480, 720), Span(780, 1080))
    assert spans_of(["22:00-02:00"]) == (Span(1320, 1560),)
    assert spans_of(["00:00-24:00"]) == (Span(0, 1440),)


@pytest.mark.parametrize(
    "texts", [["8:00-12:00"], ["08:00"], ["08:00-08:00"], ["08:00-24:30"], ["25:00-26:00"], ["08:00-12:00", "11:59-13:00"]]
)
def test_spans_that_are_refused(texts: list[str]) -> None:
    with pytest.raises(ValueError, match=r"\d"):
        spans_of(texts)


def test_days_of_the_week() -> None:
    assert weekdays_of("mon-fri") == (0, 1, 2, 3, 4)
    assert weekdays_of("sun") == (6,)
    assert weekdays_of("sat-mon") == (5, 6, 0)
    for text in ("", "monday", "mon-", "-fri", "mon-fri-sun"):
        with pytest.raises(ValueError, match="in tuple"):
            weekdays_of(text)


@pytest.mark.parametrize("name", ["Europe/Nowhere", "Europe", "", "../passwd", "/etc/passwd"])
def test_zones_that_are_none(name: str) -> None:
    with pytest.raises(ValueError, match=r"time zone|ZoneInfo"):
        zone_of(name)


def test_holidays_are_named_in_the_countrys_language() -> None:
    assert public_holidays("DE")[date(2026, 12, 25)] == "Erster Weihnachtstag"
    assert date(2026, 1, 6) in public_holidays("DE", "BY")
    assert date(2026, 1, 6) not in public_holidays("DE", "BE")
    with pytest.raises(ValueError, match="XX"):
        public_holidays("XX")
    with pytest.raises(ValueError, match="QQ"):
        public_holidays("DE", "QQ")
