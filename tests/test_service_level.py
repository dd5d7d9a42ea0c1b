"""The service level of today, held against a count by hand."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from easycall.events import Answered, CallAnswered, ContactArrived, ContactEnded, Event, Queued, QueueLeft, QueueOverflowed
from easycall.hours import Hours, spans_of
from easycall.model import Direction, EndedBy, Outcome, OverflowWhen, Queue
from easycall.policy import Channel
from easycall.stats.service_level import Level, ServiceLevels

NOON = datetime(2026, 11, 17, 12, tzinfo=UTC).timestamp()
OFFICE = Hours("office", UTC, {day: spans_of(["08:00-18:00"]) for day in range(5)})  # type: ignore[arg-type] # as good


def joins(contact: str, at: float, queue: str = "sales", **more: object) -> Queued:
    return Queued(at=at, contact=contact, queue=queue, position=1, **more)  # type: ignore[arg-type]


def answered(contact: str, at: float, queue: str = "sales") -> Answered:
    return Answered(at=at, contact=contact, agent="ana", queue=queue, waited=0.0)


def ends(contact: str, at: float, by: EndedBy = EndedBy.CALLER) -> ContactEnded:
    return ContactEnded(at=at, contact=contact, outcome=Outcome.ABANDONED, ended_by=by)


def levels(events: Iterable[Event], **queues: Queue) -> ServiceLevels:
    found = ServiceLevels({"sales": Queue("sales", "Sales"), "backup": Queue("backup", "Backup"), **queues}, UTC)
    for number, event in enumerate(events):
        found.take(number, event)
    return found


def calls(events: Iterable[Event], now: float = NOON + 1000, **queues: Queue) -> Level:
    return levels(events, **queues).of_queue("sales", now)[Channel.CALL]


@pytest.mark.requirement("D5")
def test_the_example_of_the_facts() -> None:
    """80 of 100 answered, 60 within 20 s; 15 abandoned, 5 within; 5 go elsewhere: sl_abandons is 63.2 %."""
    events: list[Event] = []
    for number in range(100):
        name, begin = f"c{number}", NOON + number
        wait = 10 if number % 5 < 3 else 40
        events.append(joins(name, begin))
        if number < 80:
            events.append(answered(name, begin + (10 if number < 60 else 30)))
            events.append(ends(name, begin + 90))
        elif number < 95:
            events.append(ends(name, begin + (10 if number < 85 else wait + 15)))
        else:
            events.append(
                QueueOverflowed(at=begin + 30, contact=name, queue="sales", to="x", rule=OverflowWhen.WAITED, waited=30)
            )
    level = calls(events)
    tally = level.tally
    assert (tally.queued, tally.answered, tally.answered_within) == (100, 80, 60)
    assert (tally.abandoned, tally.abandoned_within, tally.flowed_out, tally.failed) == (15, 5, 5, 0)
    assert level.share == pytest.approx(60 / 95)
    assert (level.waiting, level.late) == (0, 0)


@pytest.mark.requirement("D5")
def test_every_share_of_the_facts_follows_from_the_counts() -> None:
    """The same day, with 5 who asked to be called back, 3 of them within 20 s: two went on in the flow."""
    events: list[Event] = []
    for number in range(100):
        name, begin = f"c{number}", NOON + number
        events.append(joins(name, begin))
        if number < 80:
            events.append(answered(name, begin + (10 if number < 60 else 30)))
        elif number < 95:
            events.append(ends(name, begin + (10 if number < 85 else 30)))
        else:
            at = begin + (10 if number < 98 else 30)
            if number % 2:
                events.append(QueueLeft(at=at, contact=name, queue="sales", waited=at - begin))
            events.append(asked_for(name, at + (60 if number % 2 else 0)))
    tally = calls(events).tally
    assert (tally.queued, tally.converted, tally.converted_within, tally.abandoned_within) == (100, 5, 3, 5)
    decided = tally.answered + tally.abandoned
    shares = [
        tally.answered_within / tally.answered,
        tally.answered_within / (decided + tally.converted + tally.flowed_out),
        tally.answered_within / decided,
        tally.answered_within / (decided - tally.abandoned_within),
        (tally.answered_within + tally.abandoned_within) / decided,
        (tally.answered_within + tally.abandoned_within + tally.converted_within) / tally.queued,
    ]
    assert [round(100 * share, 1) for share in shares] == [75.0, 60.0, 63.2, 66.7, 68.4, 68.0]


def asked_for(contact: str, at: float) -> ContactEnded:
    return ContactEnded(at=at, contact=contact, outcome=Outcome.CALLBACK, ended_by=EndedBy.CALLER)


def called_back(at: float, *events: Event, channel: Channel = Channel.CALLBACK) -> Level:
    """What is counted of one that is called back from then on, whose caller joined two days before."""
    facts = {"pbx": "main", "leg": "l", "caller": "", "caller_name": "", "dialled": "+49301"}
    came = ContactArrived(at=at, contact="k", channel=channel, direction=Direction.OUTBOUND, **facts)
    waits = joins("k", at, since=at - 2 * 86_400 if channel is Channel.CALLBACK else at, channel=channel)
    return levels([came, waits, *events]).of_queue("sales", NOON + 1000)[channel]


def picks_up(at: float) -> CallAnswered:
    return CallAnswered(at=at, contact="k", leg="l", number="+49301")


def test_a_callback_counts_from_when_it_is_in_line_and_on_that_day() -> None:
    level = called_back(NOON, picks_up(NOON + 200), answered("k", NOON + 280), ends("k", NOON + 400))
    assert (level.tally.queued, level.tally.answered, level.tally.answered_within) == (1, 1, 1)
    late = called_back(NOON, joins("k", NOON + 100, since=NOON - 9, channel=Channel.CALLBACK), answered("k", NOON + 301))
    assert (late.tally.queued, late.tally.answered, late.tally.answered_within) == (1, 1, 0)
    assert called_back(NOON).waiting == 1


@pytest.mark.parametrize("channel", [Channel.CALLBACK, Channel.CALL_ME])
@pytest.mark.parametrize("by", EndedBy)
def test_a_customer_who_did_not_answer_has_not_abandoned(by: EndedBy, channel: Channel) -> None:
    tally = called_back(NOON, ends("k", NOON + 60, by), channel=channel).tally
    assert (tally.queued, tally.unreached, tally.abandoned, tally.failed) == (1, 1, 0, 0)


def test_a_customer_who_answers_and_hangs_up_in_line_has_abandoned() -> None:
    tally = called_back(NOON, picks_up(NOON + 20), ends("k", NOON + 29)).tally
    assert (tally.queued, tally.unreached, tally.abandoned, tally.abandoned_within) == (1, 0, 1, 1)


def test_who_still_waits_and_for_too_long() -> None:
    level = calls([joins("a", NOON), joins("b", NOON + 15)], NOON + 30)
    assert (level.waiting, level.late, level.share) == (2, 1, None)


def test_who_comes_back_to_the_place_is_counted_once() -> None:
    aside = QueueLeft(at=NOON + 5, contact="a", queue="sales", waited=5)
    back = joins("a", NOON + 60, since=NOON)
    assert calls([joins("a", NOON), aside]).waiting == 0
    level = calls([joins("a", NOON), aside, back, answered("a", NOON + 70), ends("a", NOON + 99)])
    assert (level.tally.queued, level.tally.answered, level.tally.answered_within) == (1, 1, 0)
    gone = calls([joins("a", NOON), aside, ends("a", NOON + 20)])
    assert (gone.tally.queued, gone.tally.flowed_out, gone.tally.abandoned) == (1, 1, 0)


def test_who_goes_on_to_another_queue_flowed_out_of_the_first() -> None:
    both = levels([joins("a", NOON), joins("a", NOON + 30, "backup"), answered("a", NOON + 40, "backup")])
    sales, backup = (both.of_queue(queue, NOON + 50)[Channel.CALL].tally for queue in ("sales", "backup"))
    assert (sales.queued, sales.flowed_out, sales.answered) == (1, 1, 0)
    assert (backup.queued, backup.answered_within) == (1, 1)


def test_a_new_day_begins_anew_and_yesterday_does_not_count_in_it() -> None:
    night = datetime(2026, 11, 17, 23, 59, 50, tzinfo=UTC).timestamp()
    events = [joins("a", night), joins("b", night + 30), answered("a", night + 31)]
    level = calls(events, night + 32)
    assert (level.tally.queued, level.tally.answered, level.waiting) == (1, 0, 1)
    assert calls(events[:1], night + 60).tally.queued == 0
    assert calls(events[:1], night + 60).waiting == 1


@pytest.mark.requirement("D2")
def test_each_kind_of_work_has_its_clock() -> None:
    """A message that comes in the evening is answered in time next morning; a chat is not."""
    evening = datetime(2026, 11, 17, 17, 0, tzinfo=UTC).timestamp()
    morning = evening + 16 * 3600  # 9:00, two open hours later
    shop = Queue("sales", "Sales", hours=OFFICE, service_level={Channel.MESSAGE: 7300.0})
    events: list[Event] = [joins("m", evening, channel=Channel.MESSAGE), joins("c", evening, channel=Channel.CHAT)]
    found = levels(events, sales=shop).of_queue("sales", morning)
    assert (found[Channel.MESSAGE].waiting, found[Channel.MESSAGE].late, found[Channel.CHAT].late) == (1, 0, 1)
    assert found[Channel.CALL].tally.queued == 0
    fold = levels([*events, answered("m", morning), answered("c", morning)], sales=shop)
    seen = {channel: fold._kinds["sales", channel].tally for channel in (Channel.MESSAGE, Channel.CHAT)}
    assert [seen[kind].answered_within for kind in seen] == [1, 0]


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.sampled_from(["join", "other", "aside", "answer", "end", "cut", "asked", "callback", "reach"]),
            st.integers(0, 40),
        ),
        max_size=60,
    )
)
def test_whoever_came_is_answered_or_left_or_waits(steps: list[tuple[str, str, int]]) -> None:
    now, events = NOON, list[Event]()
    for contact, what, seconds in steps:
        now += seconds
        match what:
            case "join" | "other":
                events.append(joins(contact, now, "sales" if what == "join" else "backup"))
            case "aside":
                events.append(QueueLeft(at=now, contact=contact, queue="sales", waited=1))
            case "answer":
                events.append(answered(contact, now))
            case "asked":
                events.append(asked_for(contact, now))
            case "callback":
                facts = {"pbx": "main", "leg": "l", "caller": "", "caller_name": "", "dialled": "+49301"}
                events.append(ContactArrived(at=now, contact=contact, channel=Channel.CALL_ME, **facts))
            case "reach":
                events.append(CallAnswered(at=now, contact=contact, leg="l", number="+49301"))
            case "end" | "cut":
                events.append(ends(contact, now, EndedBy.CALLER if what == "end" else EndedBy.SYSTEM))
    fold = levels(events)
    for queue in ("sales", "backup"):
        level = fold.of_queue(queue, now)[Channel.CALL]
        tally = level.tally
        aside = sum(wait.left and wait.queue == queue for wait in fold._waits.values())
        gone = tally.answered + tally.abandoned + tally.flowed_out + tally.converted + tally.unreached + tally.failed
        assert tally.queued == gone + level.waiting + aside
        assert tally.converted_within <= tally.converted
        assert tally.answered_within <= tally.answered
        assert tally.abandoned_within <= tally.abandoned
    assert len(fold._waits) <= 3


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10 * 1440), st.integers(0, 3 * 1440))
def test_open_seconds_are_those_of_every_open_minute(begin: int, length: int) -> None:
    first = datetime(2026, 11, 16, tzinfo=UTC) + timedelta(minutes=begin)
    minutes = sum(OFFICE.is_open((first + timedelta(minutes=minute)).timestamp()) for minute in range(length))
    assert OFFICE.open_seconds(first.timestamp(), first.timestamp() + 60 * length) == 60 * minutes
