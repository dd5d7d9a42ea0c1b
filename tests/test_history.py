"""Figures after a restart are what they would have been without it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytest_twisted
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater

from easycall.acd.lessons import LEARNT_SECONDS, Lessons
from easycall.acd.redials import Redials
from easycall.defer import start
from easycall.events import (
    AgentChanged,
    Answered,
    ContactArrived,
    ContactEnded,
    Event,
    FlowStep,
    Offered,
    Picked,
    Queued,
    QueueLeft,
    QueueOverflowed,
    QueueResumed,
    TalkEnded,
    WaitExpected,
)
from easycall.hours import Hours
from easycall.model import AgentState, EndedBy, Outcome, OverflowWhen, Queue
from easycall.policy import Channel
from easycall.ports import Database, StoreUnavailable
from easycall.stats import history
from easycall.stats.codec import encode
from easycall.stats.history import Figure, History
from easycall.stats.journal import Entry, Journal
from easycall.stats.service_level import ServiceLevels
from easycall.store import past_events
from easycall.store.contacts import ContactArchive
from easycall.store.past_events import PastEvents

NOON = datetime(2026, 11, 17, 12, tzinfo=UTC).timestamp()
QUEUES = {name: Queue(name, name.title(), redial_seconds=300.0) for name in ("sales", "support")}
ABOUT_ALL: dict[str, Any] = {
    "pbx": "main", "leg": "l", "caller_name": "", "dialled": "1", "position": 1, "waited": 1.0, "to": "hang_up", "flow": "f",
    "rule": OverflowWhen.WAITED, "attempt": 1, "node": "n",
}  # fmt: skip
STATES = (AgentState.READY, AgentState.RINGING, AgentState.TALKING, AgentState.WRAP_UP, AgentState.OFFLINE)


def told(kind: type[Event], at: float, contact: str, agent: str, queue: str, chance: int, number: int) -> Event:
    """An event of some kind; ``chance`` decides what else there is to decide."""
    about: dict[str, Any] = {
        **ABOUT_ALL,
        "queue": queue,
        "caller": ("", "+491", "+492")[chance % 3],
        "since": at - chance % 2 * 50,
        "channel": (Channel.CALL, Channel.CALL, Channel.CHAT, Channel.MESSAGE)[chance % 4],
        "formula": (None, 10.0, 20.0)[chance % 3],
        "head": (None, 15.0)[chance % 2],
        "outcome": (Outcome.ABANDONED, Outcome.ANSWERED)[chance % 2],
        "ended_by": (EndedBy.CALLER, EndedBy.SYSTEM, EndedBy.AGENT)[chance % 3],
        "state": STATES[chance % len(STATES)],
        "queues": ("sales", "support")[: 1 + chance % 2],
        "of": f"c{chance % 4}",
    }
    fields = {one.name for one in kind.__attrs_attrs__}  # type: ignore[attr-defined] # attrs
    agent = agent if kind in (AgentChanged, Answered, TalkEnded, Offered, Picked) else ""
    return kind(at=at, contact=contact, agent=agent, **{name: value for name, value in about.items() if name in fields})


KINDS: Sequence[type[Event]] = (
    *(ContactArrived, Queued, Queued, WaitExpected, Offered, AgentChanged, AgentChanged, Answered, TalkEnded, QueueLeft),
    *(QueueOverflowed, QueueResumed, FlowStep, Picked, ContactEnded, ContactEnded),
)


@st.composite
def streams(draw: st.DrawFn, most: int = 60) -> list[Event]:
    """What may happen in a centre, in the order of time, likely or not."""
    steps = draw(
        st.lists(
            st.tuples(
                st.sampled_from(KINDS),
                st.integers(0, 400),
                st.sampled_from(["c0", "c1", "c2", "c3"]),
                st.sampled_from(["ana", "bo"]),
                st.sampled_from(["sales", "support"]),
                st.integers(0, 59),
            ),
            max_size=most,
        )
    )
    now, events = draw(st.sampled_from([NOON, NOON + 12 * 3600 - 3000])), []
    for number, (kind, seconds, contact, agent, queue, chance) in enumerate(steps):
        now += seconds / 4
        events.append(told(kind, now, contact, agent, queue, chance, number))
    return events


def figures() -> tuple[ServiceLevels, Redials, Lessons]:
    return ServiceLevels(QUEUES, UTC), Redials(str, QUEUES), Lessons(QUEUES, {})


def shown(made: Sequence[Figure], now: float) -> list[Any]:
    """Everything that can be seen of the figures."""
    levels, redials, lessons = made
    assert isinstance(levels, ServiceLevels)
    assert isinstance(redials, Redials)
    assert isinstance(lessons, Lessons)
    numbers = ("+491", "+492")
    return [
        [dict(levels.of_queue(queue, now)) for queue in QUEUES],
        [redials.resume(number, queue, now) for number in numbers for queue in QUEUES],
        lessons.queues,
        [lessons.queue_of(f"c{number}") for number in range(4)],
    ]


class Stored:
    """A database that has every event up to a number, and answers when it is told to."""

    def __init__(self, events: Sequence[Event]) -> None:
        self.all = list(events)
        self.away = 0
        self.asked: list[tuple[int, int]] = []
        self.waiting: list[Deferred[None]] = []
        self.slow = False
        self.stored = len(self.all)

    async def place(self, moment: float) -> int:
        await self._answers()
        return next((number for number, event in enumerate(self.all, 1) if event.at >= moment), len(self.all) + 1)

    async def events(self, after: int, upto: int, kinds: Sequence[type[Event]]) -> list[tuple[int, Event]]:
        await self._answers()
        self.asked.append((after, upto))
        here = enumerate(self.all[after : min(upto, self.stored)], after + 1)
        return [(number, event) for number, event in here if isinstance(event, tuple(kinds))]

    def answer(self) -> None:
        """To all who asked."""
        waiting, self.waiting = self.waiting, []
        for one in waiting:
            one.callback(None)

    async def _answers(self) -> None:
        if self.slow:
            self.waiting.append(Deferred())
            await self.waiting[-1]
        if self.away:
            self.away -= 1
            raise StoreUnavailable("it is away")


class Told:
    """A journal that goes on at a number; ``lag`` events are not stored yet."""

    lag = 0

    def __init__(self, last: int, past: Stored) -> None:
        self.last = last
        self._past = past
        self._listeners: list[Callable[[int, Event], None]] = []

    @property
    def stored(self) -> int:
        return self._past.stored

    def subscribe(self, listener: Callable[[int, Event], None]) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def record(self, event: Event) -> None:
        self.last += 1
        self._past.all[self.last - 1 :] = [event]
        self.store()
        for listener in tuple(self._listeners):
            listener(self.last, event)

    def store(self) -> None:
        self._past.stored = max(self._past.stored, self.last - self.lag)


class Restarted:
    """A process that begins when some of a stream has happened."""

    def __init__(self, before: Sequence[Event], now: float = NOON, **more: Any) -> None:
        self.clock = Clock()
        self.clock.advance(now)
        self.past = Stored(before)
        self.journal = Told(len(before), self.past)
        self.figures = figures()
        for one in self.figures:
            self.journal.subscribe(one.take)
        self.history = History(self.figures, self.journal, self.past, self.clock, **more)

    def begin(self) -> None:
        start(self.history.start())

    def passes(self, seconds: float = 20.0, step: float = 0.05) -> None:
        for _ in range(round(seconds / step)):
            self.clock.advance(step)


@pytest.mark.requirement("S1")
@settings(max_examples=300)
@given(streams(), st.data())
def test_after_any_restart_the_figures_are_those_without_one(events: list[Event], data: st.DataObject) -> None:
    """Some of it happened before the restart, some before the catching up begins, the rest while it goes on; the database
    lags, and what is kept of the live events is little."""
    first = data.draw(st.integers(0, len(events)))
    then = data.draw(st.integers(first, len(events)))
    lags = data.draw(st.lists(st.integers(0, 5), max_size=20))
    unbroken, end = figures(), (events[-1].at if events else NOON) + 1
    for number, event in enumerate(events, 1):
        for one in unbroken:
            one.take(number, event)
    again = Restarted(events[:first], end, buffer=data.draw(st.integers(1, 10)))
    for event in events[first:then]:
        again.journal.record(event)
    again.past.slow = True
    again.begin()
    for event in events[then:]:
        again.journal.lag = lags.pop() if lags else 0
        again.journal.record(event)
        again.clock.advance(data.draw(st.sampled_from([0.0, 0.001, 0.2])))
        if data.draw(st.booleans()):
            again.past.answer()
    again.journal.lag, again.past.slow = 0, False
    again.journal.store()
    again.past.answer()
    again.passes()
    assert again.history.missing == {}
    assert shown(again.figures, end) == shown(unbroken, end)


class TestMeanwhile:
    STREAM: Sequence[Event] = [
        told(Queued, NOON, "c0", "", "sales", 0, 1),
        told(Answered, NOON + 5, "c0", "ana", "sales", 0, 2),
    ]

    def level(self, at: Restarted) -> tuple[int, int]:
        tally = at.figures[0].of_queue("sales", NOON + 10)[Channel.CALL].tally
        return tally.queued, tally.answered

    def test_what_is_known_since_the_start_is_shown_and_that_there_is_more(self) -> None:
        at = Restarted(self.STREAM)
        at.past.slow = True
        at.begin()
        at.journal.record(told(Queued, NOON + 9, "c1", "", "sales", 0, 3))
        assert self.level(at) == (1, 0)
        assert at.history.missing["service_level"] == "not read back yet"
        at.past.slow = False
        at.past.answer()
        at.passes()
        assert self.level(at) == (2, 1)
        assert at.history.missing == {}

    def test_a_database_that_is_away_is_asked_again(self) -> None:
        at = Restarted(self.STREAM)
        at.past.away = 3
        at.begin()
        assert at.history.missing["service_level"] == "could not be read back yet: it is away"
        at.passes(4)
        assert self.level(at) == (1, 1)
        assert at.history.missing == {}

    def test_but_not_for_ever(self) -> None:
        at = Restarted(self.STREAM)
        at.past.away = 1 << 30
        at.begin()
        at.passes(history.LIMIT_SECONDS + 5, 0.5)
        assert set(at.history.missing) == {"service_level", "redials", "expected_wait"}
        assert self.level(at) == (0, 0)
        assert at.clock.getDelayedCalls() == []

    def test_a_database_that_never_gets_the_rest_ends_it_too(self) -> None:
        at = Restarted(self.STREAM)
        at.past.stored = 1
        at.begin()
        at.passes(history.LIMIT_SECONDS + 5, 0.5)
        assert "it took longer than 600 s" in at.history.missing["service_level"]
        assert at.clock.getDelayedCalls() == []

    @pytest.mark.logs_failures
    def test_a_figure_that_fails_does_not_keep_the_others_back(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(figure: ServiceLevels, other: ServiceLevels) -> None:
            raise ZeroDivisionError("on purpose")

        monkeypatch.setattr(ServiceLevels, "become", broken)
        at = Restarted(self.STREAM)
        at.begin()
        at.passes()
        assert at.history.missing == {"service_level": "could not be read back: on purpose"}

    def test_it_ends_with_the_daemon(self) -> None:
        at = Restarted(self.STREAM)
        at.past.slow = True
        at.begin()
        start(at.history.stop())
        assert at.clock.getDelayedCalls() == []
        assert len(at.journal._listeners) == len(at.figures)

    def test_no_turn_takes_more_than_a_slice(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nor more than a block of the database at once."""
        events = [told(Queued, NOON + number, f"c{number}", "", "sales", 0, number) for number in range(5_000)]
        at, turns = Restarted(events, NOON + 5_000), [0]
        take = ServiceLevels.take

        def count(figure: ServiceLevels, sequence: int, event: Event) -> None:
            turns[-1] += 1
            take(figure, sequence, event)

        monkeypatch.setattr(ServiceLevels, "take", count)
        at.begin()
        while at.clock.getDelayedCalls():
            turns.append(0)
            at.clock.advance(history.PAUSE)
        assert sum(turns) == 5_000
        assert max(turns) <= history.SLICE
        assert max(upto - after for after, upto in at.past.asked) <= history.BLOCK


class TestSince:
    def test_today_begins_where_each_queue_is(self) -> None:
        """With room for who came the evening before and is still there."""
        auckland = Hours("far", ZoneInfo("Pacific/Auckland"), {})
        queues = {
            "sales": Queue("sales", "Sales", hours=auckland, max_wait_seconds=600.0),
            "b": Queue("b", "B", max_wait_seconds=60),
        }
        since = ServiceLevels(queues, UTC).since(NOON)
        assert datetime.fromtimestamp(since + 600 + 7200, UTC) == datetime(2026, 11, 17, 0, tzinfo=UTC)
        since = ServiceLevels({"sales": queues["sales"]}, UTC).since(NOON)
        assert datetime.fromtimestamp(since + 600 + 7200, auckland.zone).hour == 0

    def test_without_queues_that_give_places_back_nothing_is_read(self) -> None:
        assert Redials(str, {"sales": Queue("sales", "Sales")}).since(NOON) == NOON
        assert Redials(str, QUEUES).since(NOON) < NOON - 300
        assert Lessons(QUEUES, {}).since(NOON) == NOON - LEARNT_SECONDS


async def stored(database: Database, events: Sequence[Event], first: int = 1) -> None:
    await ContactArchive(database).append([Entry(seq, one, encode(one)) for seq, one in enumerate(events, first)], [])


class TestDatabases:
    @pytest_twisted.ensureDeferred
    async def test_the_place_of_a_moment_is_found(self, store: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        """Though single events are told later than they happened."""
        monkeypatch.setattr(past_events, "LOOKED_AT", 8)
        past = PastEvents(store)
        assert await past.place(NOON) == 1
        assert await past.events(0, 10, [Queued]) == []
        ats = [NOON + number - (50 if number % 7 == 3 else 0) for number in range(200)]
        await stored(store, [told(Queued, at, "c", "", "sales", 0, 0) for at in ats], 1000)
        for moment in (NOON - 1, NOON, NOON + 0.5, NOON + 77, NOON + 198, NOON + 199):
            place = await past.place(moment)
            assert not [at for number, at in enumerate(ats, 1000) if number < place and at >= moment]
            assert len([at for number, at in enumerate(ats, 1000) if number >= place and at < moment - 50]) <= 8
        assert await past.place(NOON + 1e6) == 1200

    @pytest_twisted.ensureDeferred
    async def test_events_come_in_order_and_of_their_kinds(self, store: Database) -> None:
        events = [told(KINDS[number % len(KINDS)], NOON + number, "c", "ana", "sales", number, 0) for number in range(60)]
        await stored(store, events)
        found = await PastEvents(store).events(10, 50, [Queued, Answered])
        expected = list(enumerate(events, 1))[10:50]
        assert found == [(seq, one) for seq, one in expected if isinstance(one, (Queued, Answered))]

    @pytest_twisted.ensureDeferred
    async def test_what_cannot_be_understood_is_left_out(self, store: Database) -> None:
        await stored(store, [told(Queued, NOON, "c", "", "sales", 0, 0)])
        await store.transact(("UPDATE events SET body = ? WHERE seq = ?", [("{}", 1)]))
        assert await PastEvents(store).events(0, 10, [Queued]) == []

    @pytest.mark.requirement("S1")
    @pytest_twisted.ensureDeferred
    async def test_a_day_comes_back(self, store: Database) -> None:
        """With the journal that is used: events are recorded all the while."""
        clock: Any = reactor
        events = [
            told(KINDS[number * 7 % len(KINDS)], NOON + number, f"c{number % 4}", "ana", "sales", number * 11 % 60, 0)
            for number in range(3_000)
        ]
        await stored(store, events[:2_500])
        journal = Journal(clock, ContactArchive(store))
        await journal.start()
        again, now = figures(), NOON + 3_000
        for one in again:
            journal.subscribe(one.take)
            one.since = lambda now: NOON  # type: ignore[method-assign] # else it is long ago
        back = History(again, journal, PastEvents(store), clock)
        await back.start()
        for event in events[2_500:]:
            journal.record(event)
            if event.at % 50 == 0:
                await deferLater(clock, 0.001)
        while back.missing:
            await deferLater(clock, 0.01)
        unbroken = figures()
        for number, event in enumerate(events, 1):
            for one in unbroken:
                one.take(number, event)
        assert shown(again, now) == shown(unbroken, now)
        await back.stop()
        await journal.stop()
