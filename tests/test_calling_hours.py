"""When customers may be called: by the clock where they live, held against a scan of every minute."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import phonenumbers
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from phonenumbers.tzdata import TIMEZONE_DATA

from easycall.callback.calling_hours import CallingHours, calling_hours
from easycall.hours import Hours, public_holidays, spans_of

pytestmark = [pytest.mark.requirement("B2"), pytest.mark.requirement("B3")]

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
OFFICE = Hours("office", BERLIN, dict.fromkeys(range(5), spans_of(["09:00-17:00"])))
DAILY = Hours("daily", BERLIN, dict.fromkeys(range(7), spans_of(["08:00-21:00"])))
GERMAN, AMERICAN, CHINESE = "+4930123456", "+12125550100", "+861012345678"
TOLL_FREE, RUSSIAN = "+18005550100", "+79161234567"
NOWHERE = ["", "anonymous", "+49", "112", "+999123456", "+80012345678"]


def at(text: str, zone: tzinfo = BERLIN) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


def of(number: str, hours: Hours | None = OFFICE, zone: str = "") -> CallingHours:
    return calling_hours(number, hours, zone, BERLIN)


def names(of: CallingHours) -> list[str]:
    return [str(zone) for zone in of.zones]


# Where they live


@pytest.mark.parametrize(
    ("number", "hours", "zones", "opens"),
    [
        (GERMAN, OFFICE, ["Europe/Berlin"], "2026-11-17 09:00"),
        (AMERICAN, OFFICE, ["America/New_York"], "2026-11-17 15:00"),
        (CHINESE, OFFICE, ["Asia/Shanghai"], "2026-11-17 02:00"),
        (TOLL_FREE, OFFICE, ["Europe/Berlin"], "2026-11-17 09:00"),
        (RUSSIAN, OFFICE, ["Europe/Berlin"], "2026-11-17 09:00"),
        (GERMAN, DAILY, ["Europe/Berlin"], "2026-11-17 08:00"),
        *((number, OFFICE, ["Europe/Berlin"], "2026-11-17 09:00") for number in NOWHERE),
    ],
)
def test_a_number_is_called_by_the_clock_where_it_is(number: str, hours: Hours, zones: list[str], opens: str) -> None:
    """Toll-free numbers and Russian mobiles may be nearly anywhere: no office is open everywhere there."""
    calling, now = of(number, hours), at("2026-11-17 00:00")
    assert names(calling) == zones
    assert not calling.is_open(now)
    assert calling.opens(now) == at(opens)
    assert calling.is_open(at(opens))
    assert not calling.is_open(at(opens) - 1.0)


def test_in_several_zones_all_must_be_open() -> None:
    """By what the number tells a Russian mobile is somewhere between two and twelve hours ahead of UTC."""
    calling = of(RUSSIAN, DAILY)
    assert {"Europe/Moscow", "Asia/Kamchatka", "Europe/Bucharest"} < set(names(calling))
    opens = calling.opens(at("2026-11-17 00:00"))
    assert opens == at("2026-11-17 08:00", ZoneInfo("Europe/Bucharest"))
    closes = at("2026-11-17 21:00", ZoneInfo("Asia/Kamchatka"))
    assert calling.is_open(closes - 1.0)
    assert not calling.is_open(closes)
    assert calling.open_seconds(at("2026-11-17 00:00"), at("2026-11-18 00:00")) == closes - opens
    assert calling.opens(closes) == opens + 86_400.0


def test_the_zone_that_is_told_goes_before_the_number() -> None:
    assert names(of(GERMAN, zone="Asia/Tokyo")) == ["Asia/Tokyo"]
    assert of(TOLL_FREE, zone="Asia/Tokyo").opens(at("2026-11-17 00:00")) == at("2026-11-17 01:00")


@pytest.mark.parametrize("zone", ["Europe/Nowhere", "Etc/Unknown", "../passwd", "Europe"])
def test_a_zone_that_does_not_exist_is_not_told(zone: str) -> None:
    assert names(of(AMERICAN, zone=zone)) == ["America/New_York"]
    assert names(of("", zone=zone)) == ["Europe/Berlin"]


def test_the_site_may_have_any_sort_of_zone() -> None:
    calling = calling_hours("", OFFICE, "", UTC)
    assert calling.opens(at("2026-11-17 00:00")) == at("2026-11-17 09:00", UTC)


def test_without_hours_customers_may_be_called_at_any_time() -> None:
    whole = Hours("always", BERLIN, dict.fromkeys(range(7), spans_of(["00:00-24:00"])))
    now = at("2026-11-17 03:00")
    for calling in (of(RUSSIAN, None), of(RUSSIAN, whole)):
        assert calling.hours == ()
        assert (calling.is_open(now), calling.opens(now)) == (True, now)
        assert calling.open_seconds(now, now + 90.5) == 90.5
        assert "Europe/Moscow" in names(calling)


def test_who_lives_in_the_same_place_shares_what_is_worked_out() -> None:
    assert of(GERMAN) is of("+498912345678")
    assert of(GERMAN) is not of(GERMAN, DAILY)


def test_other_hours_may_have_to_be_open_too() -> None:
    calling, queue = of(AMERICAN), Hours("queue", BERLIN, dict.fromkeys(range(5), spans_of(["08:00-18:00"])))
    assert calling.also(None) is calling
    assert calling.also(queue).open_seconds(at("2026-11-17 00:00"), at("2026-11-18 00:00")) == 3 * 3600.0  # 15:00 to 18:00
    assert calling.also(queue).day_of(at("2026-11-17 03:00")) == date(2026, 11, 16)


def test_what_never_opens() -> None:
    never = of(GERMAN, Hours("never", BERLIN, {}))
    now = at("2026-11-17 03:00")
    assert (never.is_open(now), never.opens(now), never.open_seconds(now, now + 1e6)) == (False, None, 0.0)
    apart = of(GERMAN).also(Hours("night", BERLIN, dict.fromkeys(range(5), spans_of(["20:00-22:00"]))))
    assert (apart.opens(now), apart.open_seconds(now, now + 1e6)) == (None, 0.0)


# Holidays


def closed_on(calling: CallingHours, day: str) -> bool:
    zone = calling.zones[0]
    return calling.open_seconds(at(f"{day} 00:00", zone), at(f"{day} 23:59", zone)) == 0.0


@pytest.mark.parametrize(
    ("number", "country", "part", "day", "closed"),
    [
        (AMERICAN, "DE", "BY", "2026-11-26", True),  # Thanksgiving
        (AMERICAN, "DE", "BY", "2026-01-06", False),  # a German holiday
        (GERMAN, "US", "", "2026-11-26", False),
        (GERMAN, "US", "", "2026-05-01", True),
        (GERMAN, "DE", "BY", "2026-01-06", True),  # in that part of the country only: it is what was configured
        (GERMAN, "", "", "2026-05-01", False),  # no holidays are heeded
        (AMERICAN, "", "", "2026-11-26", False),
        (TOLL_FREE, "DE", "", "2026-11-26", True),
        ("+80012345678", "DE", "", "2026-05-01", True),  # of no country
        ("", "DE", "", "2026-05-01", True),
    ],
)
def test_customers_have_the_holidays_of_their_own_country(
    number: str, country: str, part: str, day: str, closed: bool
) -> None:
    hours = evolve(OFFICE, holidays=public_holidays(country, part) if country else {})
    assert closed_on(of(number, hours), day) is closed


def test_holidays_that_are_a_plain_list_are_replaced_too() -> None:
    hours = evolve(OFFICE, holidays={date(2026, 11, 17): "ours"})
    assert closed_on(of("", hours), "2026-11-17")
    assert closed_on(of(AMERICAN, hours), "2026-11-26")
    assert not closed_on(of(AMERICAN, hours), "2026-11-17")


def test_special_days_count_everywhere() -> None:
    hours = evolve(OFFICE, days={date(2026, 11, 17): (), date(2026, 11, 26): spans_of(["10:00-11:00"])})
    hours = evolve(hours, holidays=public_holidays("DE"))
    assert closed_on(of(AMERICAN, hours), "2026-11-17")
    assert of(AMERICAN, hours).is_open(at("2026-11-26 10:30", NEW_YORK))


def test_days_on_which_all_is_closed_let_nobody_be_called_by_another_clock() -> None:
    """That nothing opens for a week is no reason to believe that the customer's zones have no time in common."""
    closed = {date(2026, 12, 24) + timedelta(days=ahead): () for ahead in range(14)}
    calling = calling_hours(RUSSIAN, evolve(DAILY, days=closed), "", ZoneInfo("Pacific/Honolulu"))
    assert len(calling.zones) > 1
    assert calling.opens(at("2026-12-23 23:00", ZoneInfo("Europe/Moscow"))) == at(
        "2027-01-07 08:00", ZoneInfo("Europe/Bucharest")
    )


def test_every_country_that_a_number_may_have_is_known_or_left_as_configured() -> None:
    hours = evolve(OFFICE, holidays=public_holidays("DE"))
    for region in phonenumbers.SUPPORTED_REGIONS:
        example = phonenumbers.example_number(region)
        number = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
        assert of(number, hours).opens(at("2026-11-17 00:00")) is not None, region


# The clock changes


@pytest.mark.fault("F74")
@pytest.mark.parametrize(
    ("number", "day", "hours"),
    [
        (GERMAN, "2026-03-29", 23),
        (GERMAN, "2026-10-25", 25),
        (GERMAN, "2026-11-01", 24),
        (AMERICAN, "2026-03-08", 23),
        (AMERICAN, "2026-11-01", 25),
        (AMERICAN, "2026-03-29", 24),
    ],
)
def test_days_are_as_long_as_the_clock_says(number: str, day: str, hours: int) -> None:
    calling = of(number, DAILY)
    zone, today = calling.zones[0], date.fromisoformat(day)
    begin = at(f"{day} 00:00", zone)
    end = calling.next_day(begin)
    assert end - begin == hours * 3600.0
    assert calling.day_of(begin) == calling.day_of(end - 1.0) == today
    assert calling.day_of(begin - 1.0) == today - timedelta(days=1)
    assert calling.day_of(end) == today + timedelta(days=1)
    assert calling.open_seconds(begin, end) == 13 * 3600.0
    assert calling.opens(begin) == at(f"{day} 08:00", zone)


@pytest.mark.fault("F74")
def test_the_next_day_is_always_ahead() -> None:
    """Also where the clock changes at midnight, so that a day has none or two."""
    for zone in sorted({name for names in TIMEZONE_DATA.values() for name in names}):
        calling = of("", zone=zone)
        assert names(calling) == [zone]
        now, end = at("2026-01-01 00:00", UTC), at("2027-01-01 00:00", UTC)
        while now < end:
            begins = calling.next_day(now)
            assert now < begins <= now + 25 * 3600.0
            assert calling.next_day(begins - 0.5) == begins
            assert calling.day_of(begins - 0.5) == calling.day_of(now) == calling.day_of(begins) - timedelta(days=1)
            now = begins


# Against a scan of every minute

CHANGES = ["2026-03-08", "2026-03-29", "2026-10-25", "2026-11-01", "2026-07-15"]
SOME_ZONES = [BERLIN, NEW_YORK, ZoneInfo("Asia/Kolkata"), ZoneInfo("Australia/Lord_Howe"), ZoneInfo("America/Phoenix")]
SPANS = [["08:00-21:00"], ["09:00-12:00", "13:00-17:30"], ["22:00-06:00"], ["00:00-24:00"], ["02:15-03:30"], []]


def shown(hours: Hours, now: float) -> bool:
    """Whether the wall shows a time of a span."""
    wall = datetime.fromtimestamp(now, hours.zone)
    minute, today = wall.hour * 60 + wall.minute, wall.weekday()
    spans = [(span, minute) for span in hours.week.get(today, ())]
    spans += [(span, minute + 1440) for span in hours.week.get((today - 1) % 7, ())]
    return any(span.begin <= at < span.end for span, at in spans)


def scan(calling: CallingHours, begin: float, minutes: int) -> list[bool]:
    return [all(shown(one, begin + at * 60.0) for one in calling.hours) for at in range(minutes)]


@st.composite
def some_customers(draw: st.DrawFn) -> tuple[CallingHours, float]:
    week = {day: spans_of(draw(st.sampled_from(SPANS))) for day in draw(st.sets(st.integers(0, 6)))}
    zones = draw(st.lists(st.sampled_from(SOME_ZONES), min_size=1, max_size=3, unique=True))
    begin = at(f"{draw(st.sampled_from(CHANGES))} 00:00", UTC) + draw(st.integers(-1440, 1440)) * 60.0
    return CallingHours(zones, tuple(Hours("some", zone, week) for zone in zones)), begin


@pytest.mark.fault("F74")
@settings(deadline=None, max_examples=40)
@given(some_customers(), st.floats(0.0, 59.0))
def test_opening_is_as_a_scan_finds_it(drawn: tuple[CallingHours, float], seconds: float) -> None:
    calling, begin = drawn
    minutes = scan(calling, begin, 3 * 1440)
    now = begin + seconds
    assert calling.is_open(now) is minutes[0]
    opens, first = calling.opens(now), minutes.index(True) if True in minutes else None
    if first is None:
        assert opens is None or opens >= begin + len(minutes) * 60.0
    else:
        assert opens == (now if first == 0 else begin + first * 60.0)
    assert calling.open_seconds(begin, begin + len(minutes) * 60.0) == sum(minutes) * 60.0
    whole = calling.open_seconds(begin, begin + 7200.0)
    assert calling.open_seconds(begin, now) + calling.open_seconds(now, begin + 7200.0) == pytest.approx(whole)


@settings(deadline=None, max_examples=40)
@given(some_customers())
def test_the_site_counts_when_the_zones_have_no_time_in_common(drawn: tuple[CallingHours, float]) -> None:
    """Of a Spanish and of an Australian mobile, whose zones are one hour and up to nine apart."""
    week = drawn[0].hours[0].week
    for number in ("+34612345678", "+61412345678", RUSSIAN):
        zones = of(number, None).zones
        everywhere = CallingHours(zones, tuple(Hours("some", zone, week) for zone in zones))
        counts = of(number, Hours("some", BERLIN, week)).zones
        assert (list(counts) == list(zones)) is all(common(everywhere, day) for day in ("2026-01-12", "2026-07-13"))
        assert len(counts) > 1 or counts == (BERLIN,)


AUSTRALIAN_WINTER = ["08:00", "08:30", "09:30", "10:15", "11:00", "11:30", "12:00"]
AUSTRALIAN_SUMMER = ["08:00", "08:30", "09:30", "10:15", "11:30", "12:00", "12:30"]


@pytest.mark.fault("F74")
@pytest.mark.parametrize(
    ("begins", "together"),
    [
        ({*AUSTRALIAN_WINTER, *AUSTRALIAN_SUMMER}, True),
        (AUSTRALIAN_WINTER, False),
        (AUSTRALIAN_SUMMER, False),
    ],
)
def test_zones_must_have_a_time_in_common_all_the_year(begins: list[str], together: bool) -> None:
    """Ten minutes at each of the times that the walls of Australia's zones show while the westernmost one shows 08:00."""
    week = {2: spans_of([f"{begin}-{begin[:-1]}9" for begin in begins])}
    calling = of("+61412345678", Hours("some", BERLIN, week))
    assert (len(calling.zones) > 1) is together


def common(calling: CallingHours, monday: str) -> bool:
    """Whether there is a time in that week, by trying each quarter of an hour."""
    begin = at(f"{monday} 00:00", UTC)
    return any(all(shown(one, begin + at * 900.0) for one in calling.hours) for at in range(7 * 96))
