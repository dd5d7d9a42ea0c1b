"""The life of a callback: when it may be made, what comes after each attempt, and that it never goes beyond its limits."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from attrs import evolve
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from easycall.callback.calling_hours import CallingHours, calling_hours
from easycall.callback.lifecycle import (
    AGAIN_SECONDS,
    Begin,
    Facts,
    Later,
    Over,
    Verdict,
    Why,
    begun,
    dialled,
    is_late,
    judge,
    over,
    settled,
)
from easycall.hours import Hours, spans_of
from easycall.model import (
    OPEN,
    Attempt,
    Callback,
    CallbackRules,
    CallbackSource,
    CallbackState,
    Outcome,
    OwnerAway,
    Queue,
)
from easycall.model.callback import DELAYS

pytestmark = [pytest.mark.requirement("B2"), pytest.mark.requirement("B3")]

BERLIN = ZoneInfo("Europe/Berlin")
DAILY = Hours("daily", BERLIN, dict.fromkeys(range(7), spans_of(["08:00-20:00"])))
OFFICE = Hours("office", BERLIN, dict.fromkeys(range(5), spans_of(["09:00-12:00", "13:00-17:00"])))
GERMAN, AMERICAN, CHINESE = "+4930123456", "+12125550100", "+861012345678"
TOLL_FREE, RUSSIAN = "+18005550100", "+79161234567"
NOON = datetime(2026, 11, 17, 12, tzinfo=BERLIN).timestamp()  # a Tuesday
HOUR, DAY = 3600.0, 86_400.0


def callback(**more: Any) -> Callback:
    usual = {"number": GERMAN, "created": NOON, "due": NOON, "expires": NOON + 2 * DAY}
    return Callback(id="cb1", queue="sales", source=CallbackSource.ASKED, **{**usual, **more})


def queue(opening: Hours | None = None, **rules: Any) -> Queue:
    return Queue("sales", "Sales", hours=opening, callback=CallbackRules(**{"hours": DAILY, **rules}))


def hours_of(one: Callback, line: Queue) -> CallingHours:
    return calling_hours(one.number, line.callback.hours, one.zone, BERLIN)


def verdict(one: Callback, line: Queue, now: float, facts: Facts = Facts()) -> Verdict:  # noqa: B008 - frozen
    return judge(one, line, hours_of(one, line), facts, now)


def in_line(outcome: Outcome | None = None, before: tuple[Outcome, ...] = (), **more: Any) -> Callback:
    """One that waits in line, or whose customer was dialled."""
    tried = tuple(Attempt(f"old{at}", NOON - HOUR, one) for at, one in enumerate(before))
    one = begun(callback(attempts=tried, **more), "c1", NOON)
    return one if outcome is None else dialled(one, NOON, "ann")


# May it go into the line


@pytest.mark.parametrize(
    ("one", "line", "facts", "now", "expected"),
    [
        ({}, {}, {}, NOON, Begin()),
        ({"due": NOON + 60}, {}, {}, NOON, Later(Why.NOT_DUE, NOON + 60)),
        ({}, {}, {}, NOON + 2 * DAY, Over(CallbackState.EXPIRED, "it was not possible in time")),
        ({}, {"attempts": 0}, {}, NOON, Over(CallbackState.EXHAUSTED, "0 attempts")),
        ({}, {"attempts_per_day": 0}, {}, NOON, Later(Why.ATTEMPTS_TODAY, NOON + 12 * HOUR)),
        ({}, {}, {}, NOON + 9 * HOUR, Later(Why.QUIET_HOURS, NOON + 20 * HOUR)),
        ({}, {"hours": None}, {}, NOON + 9 * HOUR, Begin()),
        ({"zone": "Asia/Tokyo"}, {}, {}, NOON, Later(Why.QUIET_HOURS, NOON + 12 * HOUR)),
        ({}, {"opening": OFFICE}, {}, NOON, Later(Why.QUEUE_CLOSED, NOON + HOUR)),
        ({}, {}, {"on_the_line": True}, NOON, Later(Why.ON_THE_LINE, NOON + 2 * DAY)),
        ({}, {}, {"staffed": False}, NOON, Later(Why.NOBODY_THERE, NOON + 2 * DAY)),
        ({"agent": "ann"}, {}, {}, NOON, Begin("ann")),
        ({"agent": "ann"}, {}, {"owner_there": False}, NOON, Begin()),
        (
            {"agent": "ann"},
            {"owner_away": OwnerAway.POSTPONE},
            {"owner_there": False},
            NOON,
            Later(Why.OWNER_AWAY, NOON + HOUR),
        ),
        ({"agent": "ann"}, {"owner_away": OwnerAway.POSTPONE}, {"owner_there": False}, NOON + HOUR, Begin()),
        ({"agent": "ann"}, {}, {}, NOON + HOUR, Begin()),
        ({"agent": "ann"}, {"late_seconds": 0.0}, {}, NOON + HOUR, Begin("ann")),
        (
            {"agent": "ann"},
            {"late_seconds": 0.0, "owner_away": OwnerAway.POSTPONE},
            {"owner_there": False},
            NOON,
            Later(Why.OWNER_AWAY, NOON + 2 * DAY),
        ),
    ],
)
def test_whether_it_may_go_into_the_line(
    one: dict[str, Any], line: dict[str, Any], facts: dict[str, Any], now: float, expected: Verdict
) -> None:
    assert verdict(callback(**one), queue(**line), now, Facts(**facts)) == expected


@pytest.mark.parametrize(
    ("one", "line"),
    [
        ({"due": NOON + 9 * DAY}, {}),
        ({"zone": "Asia/Tokyo"}, {}),
        ({}, {"attempts_per_day": 0}),
        ({}, {"hours": Hours("never", BERLIN, {})}),
    ],
)
def test_it_is_looked_at_when_it_expires_at_the_latest(one: dict[str, Any], line: dict[str, Any]) -> None:
    """Who waited for the next morning would tell only then that it was given up in the evening."""
    asked = callback(**{"expires": NOON + HOUR, **one})
    told = verdict(asked, queue(**line), NOON)
    assert isinstance(told, Later)
    assert told.until == NOON + HOUR
    assert isinstance(verdict(asked, queue(**line), told.until), Over)


@pytest.mark.fault("F72", "F74")
@pytest.mark.parametrize("evening", ["2026-11-17", "2026-10-31", "2026-11-01", "2026-03-08"])
def test_the_day_of_an_attempt_is_that_of_the_customer(evening: str) -> None:
    """In Berlin, and by UTC, the next day begins hours before."""
    called = datetime.fromisoformat(f"{evening} 17:00").replace(tzinfo=ZoneInfo("America/New_York")).timestamp()
    one = callback(number=AMERICAN, due=called, expires=called + DAY, attempts=(Attempt("c1", called, Outcome.BUSY),))
    line = queue(hours=None, attempts_per_day=1)
    midnight = called + 7 * HOUR
    for now in (called + HOUR, called + 3 * HOUR, midnight - 1.0):
        assert verdict(one, line, now) == Later(Why.ATTEMPTS_TODAY, midnight)
    assert verdict(one, line, midnight) == Begin()


def test_the_night_makes_nothing_late() -> None:
    """Neither the customer's nor the queue's: an hour of office time is over at 14:00, or after lunch."""
    one, open_all_day, office = callback(), queue(), queue(OFFICE)
    hours = hours_of(one, office)
    assert is_late(one, open_all_day, hours, NOON + HOUR)
    assert not is_late(one, office, hours, NOON + 2 * HOUR - 1.0)
    assert is_late(one, office, hours, NOON + 2 * HOUR)
    evening = callback(due=NOON + 4.5 * HOUR)  # 16:30
    assert not is_late(evening, office, hours, NOON + 21 * HOUR)
    assert is_late(evening, office, hours, NOON + 21.5 * HOUR)


# What comes after an attempt


@pytest.mark.fault("F72")
@pytest.mark.parametrize("outcome", DELAYS)
@pytest.mark.parametrize("delays", [{}, {Outcome.BUSY: 7.0, Outcome.MACHINE: 8.0}])
def test_each_outcome_has_its_delay(outcome: Outcome, delays: dict[Outcome, float]) -> None:
    rules = CallbackRules(delays=delays)
    after = settled(in_line(outcome, since=NOON - 500), rules, outcome, NOON + 30, cause=17, agent="bob")
    assert after.state is CallbackState.SCHEDULED
    assert after.due == NOON + 30 + {**DELAYS, **delays}[outcome]
    assert (after.contact, after.since, after.ended) == ("", 0.0, 0.0)
    assert after.attempts == (Attempt("c1", NOON, outcome, 17, "bob", NOON + 30),)


@pytest.mark.fault("F72")
@pytest.mark.parametrize("outcome", DELAYS)
def test_of_each_outcome_there_may_be_so_many(outcome: Outcome) -> None:
    rules = CallbackRules(attempts=9, most={outcome: 2})
    assert settled(in_line(outcome), rules, outcome, NOON).state is CallbackState.SCHEDULED
    other = Outcome.BUSY if outcome is not Outcome.BUSY else Outcome.NO_ANSWER
    assert settled(in_line(outcome, (other, other)), rules, outcome, NOON).state is CallbackState.SCHEDULED
    ended = settled(in_line(outcome, (outcome,)), rules, outcome, NOON)
    assert ended.state is CallbackState.EXHAUSTED
    assert ended.why == f"2 attempts, the last one: {outcome.value.replace('_', ' ')}"


@pytest.mark.fault("F72")
@pytest.mark.parametrize("outcome", [*DELAYS, Outcome.CANCELLED])
def test_the_last_attempt_is_the_last(outcome: Outcome) -> None:
    before = (Outcome.BUSY, Outcome.NO_ANSWER, Outcome.MACHINE)
    assert settled(in_line(outcome, before[:2]), CallbackRules(), outcome, NOON).state is CallbackState.SCHEDULED
    assert settled(in_line(outcome, before), CallbackRules(), outcome, NOON).state is CallbackState.EXHAUSTED


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Outcome.ANSWERED, CallbackState.REACHED),
        (Outcome.UNALLOCATED, CallbackState.REFUSED),
        (Outcome.MESSAGE_LEFT, CallbackState.EXHAUSTED),
    ],
)
def test_outcomes_after_which_nobody_is_called_again(outcome: Outcome, state: CallbackState) -> None:
    after = settled(in_line(outcome), CallbackRules(), outcome, NOON + 90)
    assert (after.state, after.ended, after.contact, after.open) == (state, NOON + 90, "", False)
    assert after.last is not None
    assert after.last.outcome is outcome


@pytest.mark.parametrize("outcome", [Outcome.NO_AGENT, Outcome.NOT_DIALLED, Outcome.FAILED, Outcome.CANCELLED])
def test_who_was_not_dialled_keeps_the_place(outcome: Outcome) -> None:
    """Whether a place from before, or that in the line itself; an older attempt does not count as this one."""
    for since in (0.0, NOON - 500.0):
        waits = in_line(None, (Outcome.BUSY,), since=since)
        after = settled(waits, CallbackRules(), outcome, NOON + 5)
        assert (after.state, after.due) == (CallbackState.SCHEDULED, NOON + 5 + AGAIN_SECONDS)
        assert after.since == waits.since == (since or NOON)
        assert after.attempts == waits.attempts
        assert begun(after, "c2", NOON + 99).since == waits.since


def test_who_was_taken_back_keeps_the_place_and_it_counts() -> None:
    after = settled(in_line(Outcome.CANCELLED, since=NOON - 500), CallbackRules(), Outcome.CANCELLED, NOON + 5)
    assert (after.due, after.since, len(after.attempts)) == (NOON + 5 + AGAIN_SECONDS, NOON - 500, 1)


def test_an_attempt_that_would_be_too_late_is_not_made() -> None:
    after = settled(in_line(Outcome.BUSY, expires=NOON + 300), CallbackRules(), Outcome.BUSY, NOON)
    assert (after.state, after.contact) == (CallbackState.EXPIRED, "")
    waits = in_line(None, expires=NOON + 30)
    assert settled(waits, CallbackRules(), Outcome.NO_AGENT, NOON).state is CallbackState.EXPIRED


@pytest.mark.parametrize("state", sorted(set(CallbackState) - OPEN))
def test_what_has_ended_stays_so(state: CallbackState) -> None:
    """The customer called in while being dialled: the end of that contact makes no new attempt."""
    ended = over(in_line(Outcome.BUSY), state, "so", NOON + 7)
    assert (ended.state, ended.why, ended.ended, ended.contact, ended.open) == (state, "so", NOON + 7, "", False)
    assert settled(ended, CallbackRules(), Outcome.BUSY, NOON + 9) == ended


def test_the_end_of_a_contact_is_told_once() -> None:
    once = settled(in_line(Outcome.NO_ANSWER), CallbackRules(), Outcome.NO_ANSWER, NOON)
    assert settled(once, CallbackRules(), Outcome.NO_ANSWER, NOON + 1) == once


# Whatever happens

CHANGES = ["2026-03-08", "2026-03-29", "2026-10-25", "2026-11-01", "2026-07-15"]
NUMBERS = [GERMAN, AMERICAN, TOLL_FREE, RUSSIAN, CHINESE, "+34612345678", ""]
WEEKS = [["08:00-20:00"], ["09:00-12:00", "13:00-17:00"], ["00:00-04:00"], ["01:30-03:15"], []]
OUTCOMES = [*DELAYS, Outcome.CANCELLED]


def some_hours(zone: str) -> st.SearchStrategy[Hours]:
    days = st.dictionaries(st.integers(0, 6), st.sampled_from(WEEKS).map(spans_of), min_size=4)
    return days.map(lambda week: Hours("some", ZoneInfo(zone), week))


some_rules = st.builds(
    CallbackRules,
    hours=st.none() | some_hours("Europe/Berlin"),
    delays=st.dictionaries(st.sampled_from(OUTCOMES), st.sampled_from([0.0, 1.0, 600.0, 50_000.0]), max_size=3),
    most=st.dictionaries(st.sampled_from(OUTCOMES), st.integers(0, 3), max_size=3),
    attempts=st.integers(0, 6),
    attempts_per_day=st.integers(0, 3),
    owner_away=st.sampled_from(OwnerAway),
    late_seconds=st.sampled_from([0.0, 0.5, 3600.0]),
)
some_queues = st.builds(
    Queue,
    id=st.just("sales"),
    name=st.just("Sales"),
    hours=st.none() | some_hours("America/New_York"),
    callback=some_rules,
)
some_facts = st.builds(Facts, on_the_line=st.booleans(), staffed=st.booleans(), owner_there=st.booleans())


@st.composite
def some_callbacks(draw: st.DrawFn) -> Callback:
    """One that is due around a day on which a clock changes."""
    day = datetime.fromisoformat(draw(st.sampled_from(CHANGES))).replace(tzinfo=UTC).timestamp()
    due = day + draw(st.integers(-2880, 1440)) * 60.0 + draw(st.floats(0.0, 59.0))
    return Callback(
        "cb1",
        "sales",
        draw(st.sampled_from(NUMBERS)),
        CallbackSource.ABANDONED,
        created=due - 60.0,
        due=due,
        expires=due + draw(st.sampled_from([-60.0, 3600.0, 2 * DAY, 4 * DAY])),
        agent=draw(st.sampled_from(["", "ann"])),
        zone=draw(st.sampled_from(["", "", "America/New_York", "Asia/Kolkata"])),
    )


def shows_open(hours: Hours, zone: ZoneInfo, now: float) -> bool:
    """By the clock on the wall; no span here is over midnight."""
    wall = datetime.fromtimestamp(now, zone)
    return any(span.begin <= wall.hour * 60 + wall.minute < span.end for span in hours.week.get(wall.weekday(), ()))


def may_be_called(one: Callback, line: Queue, now: float) -> bool:
    """Whether the clocks allow it: those of all zones of the customer's, and that of the queue."""
    calling = line.callback.hours
    walls = [ZoneInfo(str(zone)) for zone in hours_of(one, line).zones]
    there = calling is None or all(shows_open(calling, wall, now) for wall in walls)
    return there and (line.hours is None or shows_open(line.hours, ZoneInfo("America/New_York"), now))


def days(one: Callback, line: Queue) -> Counter[Any]:
    wall = hours_of(one, line).zones[0]
    return Counter(datetime.fromtimestamp(attempt.at, wall).date() for attempt in one.attempts)


@pytest.mark.fault("F72", "F74")
@settings(deadline=None, max_examples=150)
@given(
    some_callbacks(),
    some_queues,
    some_facts,
    st.floats(-3600.0, 5 * DAY),
    st.lists(st.floats(0.0, 3 * DAY), max_size=4),
    st.lists(st.floats(0.0, 1.0), min_size=5, max_size=5),
)
def test_it_begins_when_all_allow_it_and_what_waits_misses_nothing(
    one: Callback, line: Queue, facts: Facts, after: float, ago: list[float], shares: list[float]
) -> None:
    now = one.due + after
    one = evolve(one, attempts=tuple(Attempt(f"c{at}", now - seconds, Outcome.BUSY) for at, seconds in enumerate(ago)))
    told = verdict(one, line, now, facts)
    today = datetime.fromtimestamp(now, hours_of(one, line).zones[0]).date()
    allowed = (
        one.due <= now < one.expires
        and len(ago) < line.callback.attempts
        and days(one, line)[today] < line.callback.attempts_per_day
        and may_be_called(one, line, now)
        and facts.staffed
        and not facts.on_the_line
    )
    if isinstance(told, Begin):
        assert allowed
        assert told.owner in {"", one.agent}
        assert not told.owner or facts.owner_there
    elif isinstance(told, Over):
        assert told.state is (CallbackState.EXPIRED if now >= one.expires else CallbackState.EXHAUSTED)
        assert now >= one.expires or len(ago) >= line.callback.attempts
    else:
        assert not allowed or told.why is Why.OWNER_AWAY
        assert now < told.until <= one.expires
        for share in shares:
            asked = now + (told.until - now) * share
            if asked < told.until - 1.0:
                assert isinstance(verdict(one, line, asked, facts), Later)


@pytest.mark.fault("F72", "F74")
@settings(deadline=None, max_examples=150)
@given(some_callbacks(), some_queues, st.integers(0, 2**32))
def test_a_whole_life_keeps_to_its_limits_and_ends(one: Callback, line: Queue, seed: int) -> None:
    assume(one.expires > one.due)
    rules, chance, now = line.callback, Random(seed), one.created  # noqa: S311 - chance, not secrecy
    for step in range(2000):
        told = verdict(one, line, now, Facts(staffed=chance.random() < 0.8, owner_there=chance.random() < 0.5))
        if isinstance(told, Over):
            one = over(one, told.state, told.why, now)
        elif isinstance(told, Later):
            assert told.until > now
            now = min(told.until, now + chance.choice([60.0, HOUR, DAY]))
        else:
            one = begun(one, f"c{step}", now)
            now += chance.choice([0.0, 5.0, 3 * HOUR])  # in line
            one = dial(one, line, now, chance)
            now += chance.choice([0.0, 25.0])
            one = settled(one, rules, chance.choice(OUTCOMES), now)
        if not one.open:
            break
    assert not one.open
    assert one.contact == ""
    assert one.state in {CallbackState.EXPIRED, CallbackState.EXHAUSTED}
    assert len(one.attempts) <= rules.attempts
    assert max(days(one, line).values(), default=0) <= rules.attempts_per_day
    assert all(one.created <= attempt.at < one.expires for attempt in one.attempts)
    assert all(may_be_called(one, line, attempt.at) for attempt in one.attempts)
    for outcome, many in Counter(attempt.outcome for attempt in one.attempts).items():
        assert outcome is not None
        assert many <= max(1, rules.most.get(outcome, many))


def dial(one: Callback, line: Queue, now: float, chance: Random) -> Callback:
    """The customer is dialled, if that is allowed now that an agent is free, and the agent is still there."""
    if chance.random() < 0.2 or not isinstance(verdict(one, line, now), Begin):
        return one
    return dialled(one, now, "ann")
