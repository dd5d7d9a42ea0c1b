"""The journal: numbers, tells, keeps, stores in batches, and survives a store that is away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, get_type_hints

import attrs
import pytest
import pytest_twisted
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import LogEvent, LogLevel, capturedLogs, formatEvent

from easycall import model
from easycall.defer import start
from easycall.events import KINDS, AgentChanged, ContactArrived, ContactEnded, Event, FlowStep, PbxUp, TalkEnded
from easycall.model import AgentState, EndedBy, Missed
from easycall.policy import Channel
from easycall.ports import StoreUnavailable
from easycall.stats.codec import decode, encode, message
from easycall.stats.journal import Entry, Journal
from easycall.stats.record import Record, fold
from tests.test_record import STORY, C


class MemoryArchive:
    """An archive in memory that can be away, faulty or slow."""

    def __init__(self, last: int = 0) -> None:
        self._last = last
        self.away = False
        self.full = False
        self.faulty = False
        self.slow: Deferred[None] | None = None
        self.batches: list[list[Entry]] = []
        self.records: dict[str, Record] = {}

    @property
    def stored(self) -> list[int]:
        return [entry.seq for batch in self.batches for entry in batch]

    async def last(self) -> int:
        if self.away:
            raise StoreUnavailable("away")
        return self._last

    async def append(self, entries: Sequence[Entry], records: Sequence[Record]) -> None:
        if self.slow is not None:
            await self.slow
        if self.away or self.full:
            raise StoreUnavailable("away")
        if self.faulty:
            raise ZeroDivisionError("faulty")
        self.batches.append(list(entries))
        self.records.update({record.id: record for record in records})

    async def record(self, contact: str) -> Record | None:
        return self.records.get(contact)

    async def events(self, contact: str) -> list[tuple[int, Event]]:
        return [(e.seq, e.event) for batch in self.batches for e in batch if e.event.contact == contact]

    async def standing(self, now: float) -> list[tuple[int, Event]]:
        return [(entry.seq, entry.event) for batch in self.batches for entry in batch]

    async def ended(self, limit: int, before: str) -> list[Record]:
        return list(self.records.values())[:limit]


def up(at: float = 1.0) -> PbxUp:
    return PbxUp(at=at, pbx="main")


async def started(archive: MemoryArchive, **limits: int) -> tuple[Journal, Clock]:
    clock = Clock()
    journal = Journal(clock, archive, **limits)
    await journal.start()
    return journal, clock


def complaints(captured: Sequence[LogEvent]) -> list[str]:
    """The log lines at or above warning, with the variable parts filled in."""
    return [formatEvent(event) for event in captured if event["log_level"] >= LogLevel.warn]


# Events as JSON

TEXT = st.text()
BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXT,
    bool: st.booleans(),
    int: st.integers(0, 2**31),
    float: st.floats(allow_nan=False, allow_infinity=False),
    float | None: st.none() | st.floats(allow_nan=False, allow_infinity=False),
    tuple[str, ...]: st.lists(TEXT).map(tuple),
    Channel: st.sampled_from(Channel),
    Mapping[str, str]: st.dictionaries(TEXT, TEXT),
    Mapping[str, Channel]: st.dictionaries(TEXT, st.sampled_from(Channel)),
    Mapping[str, Any]: st.dictionaries(TEXT, st.none() | st.booleans() | st.integers(0, 2**31) | TEXT | st.lists(TEXT)),
    Mapping[str, int]: st.dictionaries(TEXT, st.integers(0, 2**31)),
    Mapping[str, Any]: st.dictionaries(TEXT, TEXT | st.integers(0, 2**31) | st.none()),
    AgentState | None: st.none() | st.sampled_from(AgentState),
    Missed | None: st.none() | st.builds(Missed, TEXT, st.floats(allow_nan=False, allow_infinity=False)),
    **{kind: st.sampled_from(kind) for kind in vars(model).values() if isinstance(kind, type) and issubclass(kind, StrEnum)},
}


def events_of(cls: type[Event]) -> st.SearchStrategy[Event]:
    hints = get_type_hints(cls)
    return st.builds(cls, **{f.name: BY_TYPE[hints[f.name]] for f in attrs.fields(cls)})


@given(st.sampled_from(sorted(KINDS)).flatmap(lambda kind: events_of(KINDS[kind])))
def test_every_event_comes_back_from_its_written_form(event: Event) -> None:
    assert decode(event.kind, encode(event)) == event


def test_the_property_above_covers_every_class() -> None:
    assert set(KINDS.values()) == set(Event.__subclasses__())


def test_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown kind of event 'nonsense'"):
        decode("nonsense", "{}")


def test_message_is_one_json_object() -> None:
    assert message(7, up()) == '{"seq":7,"kind":"pbx.up","pbx":"main","agent":"","at":1.0,"contact":""}'


# Telling


@pytest_twisted.ensureDeferred
async def test_numbers_go_on_where_the_store_stands() -> None:
    journal, _ = await started(MemoryArchive(last=41))
    heard: list[int] = []
    stop = journal.subscribe(lambda sequence, event: heard.append(sequence))
    journal.record(up())
    journal.record(up())
    stop()
    stop()
    journal.record(up())
    assert heard == [42, 43]
    assert journal.last == 44
    await journal.stop()


def test_recording_before_start_is_a_fault() -> None:
    with pytest.raises(RuntimeError, match="not started"):
        Journal(Clock(), MemoryArchive()).record(up())


@pytest.mark.logs_failures
@pytest_twisted.ensureDeferred
async def test_a_failing_listener_hurts_nobody() -> None:
    journal, _ = await started(MemoryArchive())
    heard: list[int] = []

    def fails(sequence: int, event: Event) -> None:
        raise ZeroDivisionError

    journal.subscribe(fails)
    journal.subscribe(lambda sequence, event: heard.append(sequence))
    with capturedLogs() as lines:
        journal.record(up())
    assert heard == [1]
    assert complaints(lines) == ["a listener of the journal failed at event 1"]
    await journal.stop()


@pytest_twisted.ensureDeferred
async def test_listeners_hear_in_order_though_one_records() -> None:
    journal, _ = await started(MemoryArchive())
    heard: list[int] = []

    def answers(sequence: int, event: Event) -> None:
        if sequence == 1:
            journal.record(up())

    journal.subscribe(answers)
    journal.subscribe(lambda sequence, event: heard.append(sequence))
    journal.record(up())
    assert heard == [1, 2]
    await journal.stop()


# Storing


@pytest_twisted.ensureDeferred
async def test_stored_in_one_batch_within_two_tenths() -> None:
    archive = MemoryArchive()
    journal, clock = await started(archive)
    for _ in range(5):
        journal.record(up())
    assert archive.batches == []
    clock.advance(0.2)
    assert [len(batch) for batch in archive.batches] == [5]
    assert clock.getDelayedCalls() == []


@pytest_twisted.ensureDeferred
async def test_events_recorded_during_a_write_follow() -> None:
    archive = MemoryArchive()
    journal, clock = await started(archive)
    archive.slow = Deferred()
    journal.record(up())
    clock.advance(0.2)
    journal.record(up())
    archive.slow.callback(None)
    archive.slow = succeed(None)
    clock.advance(0.2)
    assert archive.stored == [1, 2]


@pytest_twisted.ensureDeferred
async def test_a_store_away_loses_nothing_and_is_not_asked_in_a_hurry() -> None:
    archive = MemoryArchive()
    journal, clock = await started(archive)
    archive.away = True
    with capturedLogs() as lines:
        for second in range(60):
            journal.record(up(second))
            clock.advance(1.0)
        with pytest.raises(StoreUnavailable):
            await journal.flush()
        archive.away = False
        clock.advance(5.0)
    assert archive.stored == list(range(1, 61))
    assert complaints(lines) == ["the store is away, 1 events wait: away"]
    assert journal.behind == 0
    await journal.stop()


@pytest_twisted.ensureDeferred
async def test_a_full_buffer_drops_and_counts() -> None:
    archive = MemoryArchive()
    journal, clock = await started(archive, room=10)
    archive.away = True
    with capturedLogs() as lines:
        for _ in range(25):
            journal.record(up())
        clock.advance(61.0)
        journal.record(up())
    assert journal.dropped == 16
    assert [line for line in complaints(lines) if "dropped" in line] == [
        "1 events were dropped so far: they could not be stored",
        "16 events were dropped so far: they could not be stored",
    ]
    archive.away = False
    await journal.stop()
    assert archive.stored == list(range(1, 11))


@pytest.mark.logs_failures
@pytest_twisted.ensureDeferred
async def test_a_batch_that_cannot_be_stored_does_not_block_the_rest() -> None:
    archive = MemoryArchive()
    journal, clock = await started(archive)
    archive.faulty = True
    with capturedLogs() as lines:
        journal.record(up())
        clock.advance(0.2)
        archive.faulty = False
        journal.record(up())
        clock.advance(0.2)
    assert archive.stored == [2]
    assert journal.dropped == 1
    assert complaints(lines)[0] == "the store refused a batch of 1 events"


@pytest.mark.logs_failures
@pytest_twisted.ensureDeferred
async def test_text_that_cannot_be_written_is_told_and_counted() -> None:
    archive = MemoryArchive()
    journal, clock = await started(archive)
    heard: list[Event] = []
    journal.subscribe(lambda sequence, event: heard.append(event))
    journal.record(PbxUp(at=1.0, pbx="\ud800"))
    journal.record(up())
    clock.advance(0.2)
    assert len(heard) == 2
    assert archive.stored == [2]


@pytest_twisted.ensureDeferred
async def test_stop_has_an_end_and_says_what_is_left() -> None:
    archive = MemoryArchive()
    journal, clock = await started(archive)
    archive.slow = Deferred()
    journal.record(up())
    with capturedLogs() as lines:
        stopping = start(journal.stop(2.0))
        clock.advance(2.0)
        await stopping
    assert complaints(lines) == ["the journal stops with 1 events unstored: no result within 2 s"]
    assert clock.getDelayedCalls() == []


# Contacts


@pytest_twisted.ensureDeferred
async def test_a_live_contact_is_answered_from_memory() -> None:
    journal, clock = await started(MemoryArchive())
    clock.advance(111.0)
    for event in STORY[:5]:
        journal.record(event)
    found = await journal.record_of(C)
    assert found is not None
    record, steps = found
    assert record.live
    assert record == fold(C, STORY[:5], now=111.0)
    assert [step.seq for step in steps] == [1, 2, 3, 4, 5]
    assert await journal.record_of("unknown") is None
    await journal.stop()


@pytest_twisted.ensureDeferred
async def test_an_ended_contact_is_known_before_during_and_after_its_commit() -> None:
    archive = MemoryArchive()
    journal, clock = await started(archive)
    archive.slow = Deferred()

    async def check() -> None:
        found = await journal.record_of(C)
        assert found is not None
        assert (found[0], len(found[1])) == (fold(C, STORY), len(STORY))

    for event in STORY:
        journal.record(event)
    await check()
    clock.advance(0.2)
    await check()
    archive.slow.callback(None)
    await check()
    assert archive.records == {C: fold(C, STORY)}
    assert journal._closing == {}
    assert journal._live == {}


@pytest_twisted.ensureDeferred
async def test_late_events_before_the_commit_are_in_the_record() -> None:
    archive = MemoryArchive()
    journal, clock = await started(archive)
    late = TalkEnded(at=190.0, contact=C, agent="bo", ended_by=EndedBy.CALLER)
    for event in [*(event for event in STORY if not isinstance(event, TalkEnded)), late]:
        journal.record(event)
    clock.advance(0.2)
    assert archive.records[C].talked == 190.0 - 133.25


@pytest_twisted.ensureDeferred
async def test_wrap_up_of_an_ended_contact_does_not_bring_it_back() -> None:
    archive = MemoryArchive()
    journal, clock = await started(archive)
    for event in STORY:
        journal.record(event)
    clock.advance(0.2)
    journal.record(AgentChanged(at=200.0, contact=C, agent="bo", state=AgentState.WRAP_UP))
    clock.advance(0.2)
    found = await journal.record_of(C)
    assert found is not None
    assert not found[0].live
    assert len(archive.stored) == len(STORY) + 1


@pytest_twisted.ensureDeferred
async def test_a_contact_from_before_a_restart_ends_with_its_whole_story() -> None:
    archive = MemoryArchive()
    before, clock = await started(archive)
    for event in STORY[:-1]:
        before.record(event)
    clock.advance(0.2)
    archive._last = before.last
    after, clock = await started(archive)
    after.record(STORY[-1])
    clock.advance(0.2)
    assert archive.records == {C: fold(C, STORY)}


@pytest_twisted.ensureDeferred
async def test_memory_of_one_contact_is_bounded_and_its_end_still_counts() -> None:
    archive = MemoryArchive()
    journal, clock = await started(archive, per_contact=10)
    arrived, ended = STORY[0], STORY[-1]
    assert isinstance(arrived, ContactArrived)
    assert isinstance(ended, ContactEnded)
    journal.record(arrived)
    for turn in range(500):
        journal.record(FlowStep(at=101.0 + turn / 100, contact=C, flow="f", node="n"))
    assert len(journal._live[C]) == 10
    journal.record(ended)
    clock.advance(0.2)
    assert archive.records[C].ended == ended.at
    assert len(archive.stored) == 502
