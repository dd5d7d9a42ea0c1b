"""Lost contacts and callbacks by queue and day, held against a count by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st

from easycall.events import (
    Answered,
    CallAnswered,
    CallbackAsked,
    CallbackBegun,
    CallbackChanged,
    CallbackEnded,
    CallbackLate,
    CallbackSettled,
    CallDialled,
    ContactArrived,
    ContactEnded,
    Event,
    Queued,
    QueueOverflowed,
    VoicemailLeft,
)
from easycall.hours import Hours
from easycall.model import CallbackRules, CallbackSource, CallbackState, Direction, EndedBy, Outcome, OverflowWhen, Queue
from easycall.policy import Channel
from easycall.stats.losses import GIVEN_UP, RECOVERED, Fate, Loss
from easycall.stats.recovery import Recovery, RecoveryDay

pytestmark = pytest.mark.requirement("B3")

NOON = datetime(2026, 11, 17, 12, tzinfo=UTC).timestamp()
TODAY = date(2026, 11, 17)
EVA, TIM = "+49301", "+49302"
HOUR = 3600.0
CALLED_IN = CallbackState.CALLED_IN
QUEUES = {name: Queue(name, name.title()) for name in ("sales", "cards")}
KINDS = {Outcome.CLOSED: Loss.CLOSED, Outcome.FULL: Loss.FULL, Outcome.CALLBACK: Loss.CALLBACK, Outcome.FAILED: Loss.FAILED}


def recovery(events: Iterable[Event], queues: dict[str, Queue] | None = None) -> Recovery:
    found = Recovery(QUEUES if queues is None else queues, zone=UTC)
    for number, event in enumerate(events):
        found.take(number, event)
    return found


def today(events: Iterable[Event]) -> RecoveryDay:
    return recovery(events).today("sales", NOON + HOUR)


def arrives(contact: str, at: float, number: str = EVA, **more: Any) -> ContactArrived:
    facts: dict[str, Any] = {"pbx": "main", "leg": "l", "caller": number, "caller_name": "", "dialled": "1", **more}
    return ContactArrived(at=at, contact=contact, **facts)


def joins(contact: str, at: float, queue: str = "sales") -> Queued:
    return Queued(at=at, contact=contact, queue=queue, position=1)


def answered(contact: str, at: float, queue: str = "sales") -> Answered:
    return Answered(at=at, contact=contact, agent="ana", queue=queue, waited=0.0)


def ends(contact: str, at: float, outcome: Outcome = Outcome.ABANDONED, by: EndedBy = EndedBy.CALLER) -> ContactEnded:
    return ContactEnded(at=at, contact=contact, outcome=outcome, ended_by=by)


def lost(contact: str, at: float, number: str = EVA, outcome: Outcome = Outcome.ABANDONED) -> list[Event]:
    """A call that waits for a minute in vain, until ``at``."""
    return [arrives(contact, at - 60, number), joins(contact, at - 60), ends(contact, at, outcome)]


def served(contact: str, at: float, number: str = EVA, queue: str = "sales") -> list[Event]:
    came = [arrives(contact, at - 20, number), joins(contact, at - 20, queue)]
    return [*came, answered(contact, at, queue), ends(contact, at + 60, Outcome.ANSWERED)]


def asked(
    callback: str, at: float, contact: str = "", number: str = EVA, source: CallbackSource = CallbackSource.ABANDONED
) -> CallbackAsked:
    about: dict[str, Any] = {"contact": contact, "queue": "sales", "number": number, "source": source, "session": contact}
    return CallbackAsked(at=at, callback=callback, due=at, expires=at + 48 * HOUR, **about)


def over(callback: str, at: float, state: CallbackState, contact: str = "") -> CallbackEnded:
    about: dict[str, Any] = {"contact": contact, "queue": "sales", "source": CallbackSource.ABANDONED}
    return CallbackEnded(at=at, callback=callback, state=state, attempts=1, created=at, **about)


def attempt(contact: str, at: float, callback: str, number: str = EVA) -> list[Event]:
    """Its customer is being dialled."""
    made = {"caller": "+4930", "dialled": number, "direction": Direction.OUTBOUND, "channel": Channel.CALLBACK}
    dialled = {"leg": contact, "trunk": "out", "caller_id": "", "purpose": "customer", "queue": "sales"}
    return [
        arrives(contact, at, callback=callback, **made),
        CallbackBegun(at=at, contact=contact, callback=callback, queue="sales", attempt=1),
        Queued(at=at, contact=contact, queue="sales", position=1, channel=Channel.CALLBACK),
        CallDialled(at=at + 1, contact=contact, number=number, **dialled),
    ]


def picks_up(contact: str, at: float, number: str = EVA) -> CallAnswered:
    return CallAnswered(at=at, contact=contact, leg=contact, number=number)


# Who is lost


@pytest.mark.parametrize(
    ("outcome", "by", "seconds", "loss"),
    [
        (Outcome.ABANDONED, EndedBy.CALLER, 10, Loss.ABANDONED),
        (Outcome.ABANDONED, EndedBy.CALLER, 9, Loss.SHORT_ABANDONED),
        (Outcome.ABANDONED, EndedBy.NETWORK, 60, Loss.ABANDONED),
        (Outcome.ABANDONED, EndedBy.SYSTEM, 60, Loss.FAILED),
        (Outcome.ABANDONED, EndedBy.API, 60, None),
        (Outcome.CLOSED, EndedBy.FLOW, 0, Loss.CLOSED),
        (Outcome.FULL, EndedBy.FLOW, 0, Loss.FULL),
        (Outcome.OVERFLOWED, EndedBy.FLOW, 60, Loss.OVERFLOWED),
        (Outcome.CALLBACK, EndedBy.FLOW, 60, Loss.CALLBACK),
        (Outcome.FAILED, EndedBy.SYSTEM, 60, Loss.FAILED),
        (Outcome.SELF_SERVED, EndedBy.FLOW, 60, None),
        (Outcome.MESSAGE_LEFT, EndedBy.CALLER, 60, None),
        (Outcome.ANSWERED, EndedBy.CALLER, 60, None),
    ],
)
def test_how_a_contact_is_lost(outcome: Outcome, by: EndedBy, seconds: float, loss: Loss | None) -> None:
    day = today([arrives("a", NOON), joins("a", NOON), ends("a", NOON + seconds, outcome, by)]).lost
    assert +day.counts == ({(loss, Fate.UNATTENDED): 1} if loss else {})
    assert day.lost() == (loss not in (None, Loss.SHORT_ABANDONED))


def test_who_takes_up_an_old_place_and_leaves_at_once_broke_off_soon() -> None:
    resumed = Queued(at=NOON, contact="a", queue="sales", position=1, since=NOON - 300)
    assert +today([arrives("a", NOON), resumed, ends("a", NOON + 3)]).lost.counts == {
        (Loss.SHORT_ABANDONED, Fate.UNATTENDED): 1
    }


def test_it_does_not_matter_which_is_told_first() -> None:
    """A callback may be asked for, or be over, before what led to it is told."""
    *waits, end = lost("a", NOON)
    assert today([*waits, asked("k", NOON, "a"), end]).lost.of(Fate.OPEN) == 1
    reached = [*attempt("b", NOON + 60, "k"), picks_up("b", NOON + 80), over("k", NOON + 83, CallbackState.REACHED, "b")]
    day = today([*waits, asked("k", NOON, "a"), end, *reached, answered("b", NOON + 83), ends("b", NOON + 99)])
    assert (day.lost.of(Fate.CALLED_BACK), day.lost.mean_seconds, day.attempts.kept_waiting) == (1, 83.0, 1)


def test_who_was_never_in_a_queue_left_a_message_or_was_called_is_not_lost() -> None:
    beside = {"queue": "sales", "to": "voicemail:box", "rule": OverflowWhen.CLOSED, "waited": 0.0}
    events = [
        *(arrives("ivr", NOON), ends("ivr", NOON + 9, Outcome.ABANDONED_IN_IVR)),
        *(arrives("night", NOON), QueueOverflowed(at=NOON, contact="night", **beside)),
        VoicemailLeft(at=NOON + 20, contact="night", box="box", message="m", seconds=5.0),
        ends("night", NOON + 21, Outcome.CLOSED, EndedBy.FLOW),
        *(arrives("out", NOON, direction=Direction.OUTBOUND), joins("out", NOON), ends("out", NOON + 60)),
        *(arrives("chat", NOON, channel=Channel.CHAT), joins("chat", NOON), ends("chat", NOON + 60)),
        *(arrives("lost", NOON), joins("lost", NOON, "no such queue"), ends("lost", NOON + 60)),
        *(joins("strange", NOON), ends("strange", NOON + 60)),
    ]
    assert today(events) == RecoveryDay()


def test_who_goes_on_to_another_queue_is_lost_in_that_one() -> None:
    found = recovery([arrives("a", NOON), joins("a", NOON), joins("a", NOON + 30, "cards"), ends("a", NOON + 90)])
    assert found.today("sales", NOON).lost.lost() == 0
    assert found.today("cards", NOON).lost.lost() == 1


def test_a_day_is_that_of_the_arrival_in_the_zone_of_the_queue() -> None:
    midnight = datetime(2026, 11, 18, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()
    queue = Queue("sales", "Sales", hours=Hours("always", ZoneInfo("Europe/Berlin"), {}))
    found = recovery(lost("a", midnight + 30) + lost("b", midnight + 90, TIM), {"sales": queue})
    assert {day: one.lost.lost() for day, one in found.of_queue("sales", midnight + 99).items()} == {
        date(2026, 11, 17): 1,
        date(2026, 11, 18): 1,
    }


# Who is recovered


def test_a_customer_who_is_reached_at_the_second_attempt_is_recovered_once() -> None:
    begin = [*lost("a", NOON), asked("k", NOON + 1, "a")]
    busy = [
        *attempt("b", NOON + 60, "k"),
        ends("b", NOON + 70, Outcome.BUSY, EndedBy.NETWORK),
        CallbackSettled(at=NOON + 70, contact="b", callback="k", queue="sales", outcome=Outcome.BUSY, dialled=True, due=0.0),
    ]
    reached = [*attempt("c", NOON + 370, "k"), picks_up("c", NOON + 380), answered("c", NOON + 381)]
    end = [ends("c", NOON + 500, Outcome.ANSWERED), over("k", NOON + 500, CallbackState.REACHED, "c")]
    assert today(begin).lost.counts[Loss.ABANDONED, Fate.OPEN] == 1
    assert recovery(begin + busy).open()["sales"].states == {CallbackState.SCHEDULED: 1}
    assert recovery(begin + busy + reached).open()["sales"].states == {CallbackState.IN_LINE: 1}
    found = recovery(begin + busy + reached + end)
    day = found.today("sales", NOON)
    assert +day.lost.counts == {(Loss.ABANDONED, Fate.CALLED_BACK): 1}
    assert (day.lost.share, day.lost.mean_seconds) == (1.0, 381.0)
    assert day.attempts.asked == {CallbackSource.ABANDONED: 1}
    assert day.attempts.ended == {(CallbackSource.ABANDONED, CallbackState.REACHED): 1}
    assert day.attempts.outcomes == {Outcome.BUSY: 1, Outcome.ANSWERED: 1}
    assert (day.attempts.reached, day.attempts.answered, day.attempts.kept_waiting) == (0.5, 1, 0)
    assert not found.open()


@pytest.mark.parametrize(
    ("state", "fate"),
    [
        (CallbackState.MET, Fate.MET),
        (CallbackState.EXHAUSTED, Fate.EXHAUSTED),
        (CallbackState.EXPIRED, Fate.EXPIRED),
        (CallbackState.REFUSED, Fate.REFUSED),
        (CallbackState.CANCELLED, Fate.CANCELLED),
        (CallbackState.CALLED_IN, Fate.UNATTENDED),
    ],
)
def test_what_the_end_of_a_callback_means(state: CallbackState, fate: Fate) -> None:
    day = today([*lost("a", NOON), asked("k", NOON + 1, "a"), over("k", NOON + 99, state)]).lost
    assert +day.counts == {(Loss.ABANDONED, fate): 1}
    assert day.lost() == day.of(Fate.UNATTENDED) + day.of(Fate.OPEN) + day.recovered() + day.given_up()


def test_who_asked_in_the_call_is_open_from_its_end() -> None:
    begin = [arrives("a", NOON), joins("a", NOON), asked("k", NOON + 30, "a", source=CallbackSource.ASKED)]
    assert today(begin).lost.counts == {}
    day = today([*begin, ends("a", NOON + 40, Outcome.CALLBACK)])
    assert +day.lost.counts == {(Loss.CALLBACK, Fate.OPEN): 1}
    assert day.attempts.asked == {CallbackSource.ASKED: 1}


def test_who_calls_in_has_the_place_and_is_recovered_only_by_the_talk() -> None:
    begin = [*lost("a", NOON), asked("k", NOON + 1, "a"), arrives("b", NOON + 100), joins("b", NOON + 110)]
    begin.append(over("k", NOON + 111, CallbackState.CALLED_IN, "b"))
    assert +today(begin).lost.counts == {(Loss.ABANDONED, Fate.OPEN): 1}
    assert +today([*begin, answered("b", NOON + 130)]).lost.counts == {(Loss.ABANDONED, Fate.CALLED_IN): 1}
    again = today([*begin, ends("b", NOON + 130)]).lost
    assert (+again.counts, again.again) == ({(Loss.ABANDONED, Fate.UNATTENDED): 1}, 1)
    elsewhere = today([*begin, joins("b", NOON + 120, "cards"), answered("b", NOON + 130, "cards")]).lost
    assert +elsewhere.counts == {(Loss.ABANDONED, Fate.CALLED_IN): 1}


def test_who_calls_again_without_a_callback_is_known_by_the_number_and_for_two_days() -> None:
    soon, late = NOON + 47 * HOUR, NOON + 49 * HOUR
    assert today([*lost("a", NOON), *served("b", soon)]).lost.recovered() == 1
    assert today([*lost("a", NOON), *served("b", late)]).lost.recovered() == 0
    assert today([*lost("a", NOON), *served("b", soon, TIM)]).lost.recovered() == 0
    assert today([*lost("a", NOON), *served("b", soon, queue="cards")]).lost.recovered() == 0
    assert today([*lost("a", NOON, ""), *served("b", soon, "")]).lost.recovered() == 0
    assert today([*lost("a", NOON, ""), arrives("b", soon, "", session="a"), answered("b", soon)]).lost.recovered() == 1
    agent_calls = arrives("b", soon, "+4930", dialled=EVA, direction=Direction.OUTBOUND)
    assert today([*lost("a", NOON), agent_calls, answered("b", soon)]).lost.of(Fate.MET) == 1


def test_one_who_is_lost_twice_counts_once_and_as_the_longer_wait() -> None:
    short = [arrives("a", NOON), joins("a", NOON), ends("a", NOON + 3)]
    day = today([*short, *lost("b", NOON + 100), *lost("c", NOON + 200)]).lost
    assert (+day.counts, day.again) == ({(Loss.ABANDONED, Fate.UNATTENDED): 1}, 2)
    new = today([*lost("a", NOON), *served("b", NOON + 100), *lost("c", NOON + 300)]).lost
    assert +new.counts == {(Loss.ABANDONED, Fate.CALLED_IN): 1, (Loss.ABANDONED, Fate.UNATTENDED): 1}
    assert new.share == 0.5


def test_one_who_was_given_up_and_is_lost_again_is_one_person_who_may_be_reached_still() -> None:
    given_up = [*lost("a", NOON), asked("x", NOON, "a"), over("x", NOON + 10, CallbackState.EXHAUSTED)]
    again = [*given_up, *lost("b", NOON + 100), asked("y", NOON + 100, "b")]
    assert +today(again).lost.counts == {(Loss.ABANDONED, Fate.OPEN): 1}
    reached = [*again, *attempt("c", NOON + 200, "y"), answered("c", NOON + 210)]
    day = today(reached).lost
    assert (+day.counts, day.again, day.share) == ({(Loss.ABANDONED, Fate.CALLED_BACK): 1}, 1, 1.0)


# Attempts


def test_customers_who_answer_and_get_no_agent_in_time() -> None:
    def made(number: int, talk: float | None, end: float, outcome: Outcome, by: EndedBy = EndedBy.CALLER) -> list[Event]:
        contact, at = f"c{number}", NOON + 100 * number
        events: list[Event] = [*attempt(contact, at, f"k{number}"), picks_up(contact, at + 10)]
        if talk is not None:
            events.append(answered(contact, at + 10 + talk))
        return [asked(f"k{number}", at, number=f"+49{number}"), *events, ends(contact, at + 10 + end, outcome, by)]

    day = today(
        [
            *made(1, 2.0, 60, Outcome.ANSWERED),
            *made(2, 2.5, 60, Outcome.ANSWERED),
            *made(3, None, 1.5, Outcome.ABANDONED),
            *made(4, None, 9, Outcome.ABANDONED),
            *made(5, None, 15, Outcome.MACHINE, EndedBy.SYSTEM),
            *made(6, None, 9, Outcome.FAILED, EndedBy.SYSTEM),
        ]
    ).attempts
    assert (day.attempts, day.answered, day.unserved, day.kept_waiting) == (6, 5, 2, 3)
    assert day.abandonment == pytest.approx(3 / 5)
    assert day.reached == pytest.approx(2 / 6)


def test_a_contact_whose_customer_was_not_dialled_is_no_attempt() -> None:
    events = [asked("k", NOON), *attempt("b", NOON + 60, "k")[:-1], ends("b", NOON + 70, Outcome.CANCELLED, EndedBy.API)]
    assert today(events).attempts.attempts == 0
    consult = CallAnswered(at=NOON + 62, contact="b", leg="somebody else", number="+44")
    asked_and_dialled = [asked("k", NOON), *attempt("b", NOON + 60, "k"), consult]
    assert today([*asked_and_dialled, ends("b", NOON + 90, Outcome.NO_ANSWER)]).attempts.answered == 0


def test_open_ones_by_state_and_those_that_are_late() -> None:
    late = CallbackLate(at=NOON + HOUR, callback="k", queue="sales", due=NOON)
    found = recovery([asked("k", NOON), asked("m", NOON, number=TIM), late]).open()["sales"]
    assert (found.states, found.late) == ({CallbackState.SCHEDULED: 2}, 1)
    moved = CallbackChanged(at=NOON + 2 * HOUR, callback="k", queue="cards", due=NOON + 9 * HOUR, expires=NOON + 48 * HOUR)
    after = recovery([asked("k", NOON), late, moved])
    assert (after.open()["cards"].states, after.open()["cards"].late) == ({CallbackState.SCHEDULED: 1}, 0)
    assert after.today("sales", NOON).attempts.late == 1


def test_one_who_calls_in_for_a_callback_that_was_open_for_long_and_is_lost_again_is_the_same_person() -> None:
    late = NOON + 60 * HOUR
    events = [*lost("a", NOON), asked("x", NOON + 40 * HOUR, "a"), arrives("b", late), over("x", late + 1, CALLED_IN, "b")]
    events += [joins("b", late + 1), ends("b", late + 30), asked("y", late + 30, "b")]
    days = recovery(events).of_queue("sales", late + 30)
    assert +days[TODAY].lost.counts == {(Loss.ABANDONED, Fate.OPEN): 1}
    assert sum(one.lost.lost() for one in days.values()) == 1


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("lost_contacts", "attempts"):
        monkeypatch.setattr(f"easycall.stats.{module}.MOST", 5)
    events: list[Event] = []
    for number in range(100):
        at = NOON + number * 24 * HOUR
        events += [*lost(f"a{number}", at, f"+49{number}"), asked(f"k{number}", at, f"a{number}", f"+49{number}")]
        events += [arrives(f"b{number}", at), *attempt(f"c{number}", at, f"k{number}")]
    found = recovery(events)
    days = found.of_queue("sales", NOON + 99 * 24 * HOUR)
    assert (len(days), max(days)) == (31, TODAY + timedelta(99))
    assert len(found._lost.days._kept["sales"]) == 31
    fold, attempts = found._lost, found._attempts
    kept = (fold._calls, fold._matters, fold._known, fold._callbacks, attempts.open, attempts._live)
    assert all(0 < len(one) <= 5 for one in kept)


# Against a count by hand


@define
class Centre:
    """Tells a story that may have happened."""

    at: float = NOON
    events: list[Event] = field(factory=list)
    live: dict[str, tuple[str, str]] = field(factory=dict)
    """Call -> queue, number."""
    open: dict[str, tuple[str, str]] = field(factory=dict)
    """Callback -> the contact that led to it, its number."""
    trying: dict[str, str] = field(factory=dict)
    """Attempt -> callback."""
    lost: list[tuple[str, str, str]] = field(factory=list)
    """Contact, queue, number; the latest of each number."""

    def step(self, what: str, chance: int, outcome: Outcome, state: CallbackState) -> None:
        number, name = (EVA, TIM, "")[chance % 3], f"c{len(self.events)}"
        if what == "call":
            queue = ("sales", "cards")[chance % 2]
            self.live[name] = queue, number
            self.events += [arrives(name, self.at, number), joins(name, self.at, queue)]
        elif what in ("answer", "end", "ask") and self.live:
            self._call(what, sorted(self.live)[chance % len(self.live)], outcome)
        elif what == "policy" and self.lost:
            self._asked(*self.lost.pop(chance % len(self.lost)))
        elif what == "request":
            self._asked("", "sales", number or EVA)
        elif what == "try" and (idle := sorted(self.open.keys() - self.trying.values())):
            self.trying[name] = idle[chance % len(idle)]
            self.events += attempt(name, self.at, self.trying[name], self.open[self.trying[name]][1])
        elif what in ("reach", "fail") and self.trying:
            self._tried(what == "reach", sorted(self.trying)[chance % len(self.trying)], outcome)
        elif what == "over" and (idle := sorted(self.open.keys() - self.trying.values())):
            self._over(idle[chance % len(idle)], state)

    def _call(self, what: str, name: str, outcome: Outcome) -> None:
        queue, number = self.live[name]
        if what == "answer" and not all_of(self.events, Answered, contact=name):
            self.events.append(answered(name, self.at, queue))
        elif what == "ask" and not all_of(self.events, CallbackAsked, contact=name):
            self._asked(name, queue, number)
        elif what == "end":
            del self.live[name]
            self.events.append(ends(name, self.at, outcome))
            self.lost = [one for one in self.lost if one[1:] != (queue, number) or not number]
            self.lost.append((name, queue, number))

    def _asked(self, contact: str, queue: str, number: str) -> None:
        if number and number not in {one[1] for one in self.open.values()} and queue == "sales":
            name = f"k{len(self.events)}"
            self.open[name] = contact, number
            self.events.append(asked(name, self.at, contact, number))

    def _tried(self, reached: bool, name: str, outcome: Outcome) -> None:
        callback = self.trying.pop(name)
        if reached:
            self.events += [picks_up(name, self.at), answered(name, self.at)]
            self.events += [ends(name, self.at, Outcome.ANSWERED), over(callback, self.at, CallbackState.REACHED, name)]
            del self.open[callback]
        else:
            self.events.append(ends(name, self.at, outcome, EndedBy.NETWORK))

    def _over(self, callback: str, state: CallbackState) -> None:
        _, number = self.open[callback]
        talks = {event.contact for event in self.events if isinstance(event, Answered)}
        caller = next((name for name, (_, one) in self.live.items() if one == number), "")
        if state is CallbackState.CALLED_IN and (not caller or caller in talks):
            return
        del self.open[callback]
        self.events.append(over(callback, self.at, state, caller if state is CallbackState.CALLED_IN else ""))


@st.composite
def stories(draw: st.DrawFn) -> list[Event]:
    centre = Centre()
    what = ["call", "call", "end", "end", "answer", "ask", "policy", "policy", "request", "try", "reach", "fail", "over"]
    outcomes = [*KINDS, Outcome.ABANDONED, Outcome.ABANDONED, Outcome.SELF_SERVED]
    states = [state for state in CallbackState if state not in (*OPEN_STATES, CallbackState.REACHED)]
    for _ in range(draw(st.integers(0, 40))):
        centre.at += draw(st.sampled_from([1.0, 30.0, 5 * HOUR, 20 * HOUR]))
        chosen = draw(st.sampled_from(what)), draw(st.integers(0, 5))
        centre.step(*chosen, draw(st.sampled_from(outcomes)), draw(st.sampled_from(states)))
    return centre.events


OPEN_STATES = (CallbackState.SCHEDULED, CallbackState.IN_LINE)


@define
class Person:
    """Somebody who was lost, as found by looking at all events again."""

    first: int
    """The index of the event with which the first contact ended."""
    queue: str
    number: str
    day: date
    loss: Loss
    contacts: set[str]
    last: int = 1_000_000
    """The index of the event with which the same number was lost anew: it is known as that one from there."""


def all_of(events: list[Event], kind: type[Any], **wanted: str) -> list[tuple[int, Any]]:
    found = [(index, event) for index, event in enumerate(events) if isinstance(event, kind)]
    return [(index, one) for index, one in found if all(getattr(one, key) == value for key, value in wanted.items())]


def open_at(person: Person, events: list[Event]) -> set[str]:
    """Which callbacks somebody had when the first contact ended."""
    before = events[: person.first]
    mine = {
        event.callback
        for _, event in all_of(before, CallbackAsked)
        if event.contact in person.contacts or (event.number, event.queue) == (person.number, person.queue)
    }
    return mine - {event.callback for _, event in all_of(before, CallbackEnded)}


def fate_of(person: Person, events: list[Event]) -> tuple[Fate, bool, set[str]]:
    """What has come of somebody at the end of these events, whether a callback is open, and who called in for one."""
    mine, called_in_for = open_at(person, events), set[str]()
    fate, waited_for = Fate.OPEN if mine else Fate.UNATTENDED, ""
    arrivals = {event.contact: event for _, event in all_of(events, ContactArrived)}
    queue_of = {event.contact: event.queue for _, event in all_of(events, Queued)}
    for index, event in enumerate(events[person.first + 1 :], person.first + 1):
        known = index <= person.last and (bool(mine) or event.at <= events[person.first].at + 48 * HOUR)
        if isinstance(event, CallbackAsked):
            same = known and (event.number, event.queue) == (person.number, person.queue)
            if event.contact in person.contacts or same:
                mine.add(event.callback)
                fate = Fate.OPEN
        elif isinstance(event, CallbackEnded) and event.callback in mine:
            mine.discard(event.callback)
            if event.state is CallbackState.MET:
                return Fate.MET, False, called_in_for
            called_in = event.state is CallbackState.CALLED_IN
            called_in_for |= {event.contact} if called_in else set()
            fate, waited_for = (Fate.OPEN, event.contact) if called_in else (Fate(event.state.value), "")
        elif isinstance(event, Answered):
            came = arrivals[event.contact]
            if came.callback and (came.callback in mine or (came.dialled == person.number and known)):
                return Fate.CALLED_BACK, False, called_in_for
            of_number = came.caller == person.number != "" and queue_of[event.contact] == person.queue
            if not came.callback and (event.contact == waited_for or (of_number and known)):
                return Fate.CALLED_IN, False, called_in_for
        elif isinstance(event, ContactEnded) and event.contact == waited_for:
            fate, waited_for = Fate.UNATTENDED if fate is Fate.OPEN and not mine else fate, ""
    return fate, bool(mine), called_in_for


def by_hand(events: list[Event]) -> tuple[dict[date, Counter[tuple[Loss, Fate]]], dict[date, int], list[Person]]:
    people: list[Person] = []
    again: Counter[date] = Counter()
    for index, end in all_of(events, ContactEnded):
        came = all_of(events, ContactArrived, contact=end.contact)[0][1]
        talked = any(at < index for at, _ in all_of(events, Answered, contact=end.contact))
        if came.channel is not Channel.CALL or talked or end.outcome is Outcome.SELF_SERVED:
            continue
        joined = all_of(events, Queued, contact=end.contact)[0][1]
        waited = Loss.ABANDONED if end.at - joined.at >= 10 else Loss.SHORT_ABANDONED
        loss, day = KINDS.get(end.outcome, waited), datetime.fromtimestamp(joined.at, UTC).date()
        same = [one for one in people if (one.queue, one.number) == (joined.queue, came.caller) and came.caller]
        if same:
            upto = events[: index + 1]
            before = next((one for one in reversed(same) if end.contact in fate_of(one, upto)[2]), same[-1])
            fate, near, called = fate_of(before, upto)
            known = near or end.contact in called or end.at <= events[before.first].at + 48 * HOUR
            if known and fate not in RECOVERED:
                again[day] += joined.queue == "sales"
                before.loss = loss if before.loss is Loss.SHORT_ABANDONED else before.loss
                before.contacts.add(end.contact)
                continue
            before.last = index
        people.append(Person(index, joined.queue, came.caller, day, loss, {end.contact}))
    counts: dict[date, Counter[tuple[Loss, Fate]]] = {}
    for one in people:
        if one.queue == "sales":
            counts.setdefault(one.day, Counter())[one.loss, fate_of(one, events)[0]] += 1
    return counts, again, people


@settings(max_examples=150, deadline=None)
@given(stories())
def test_the_fold_is_what_looking_at_everything_again_finds(events: list[Event]) -> None:
    found = recovery(events)
    now = events[-1].at if events else NOON
    days = found.of_queue("sales", now)
    counts, again, _ = by_hand(events)
    assert {day: dict(+one.lost.counts) for day, one in days.items() if +one.lost.counts} == {
        day: dict(one) for day, one in counts.items()
    }
    assert {day: one.lost.again for day, one in days.items() if one.lost.again} == {day: n for day, n in again.items() if n}
    for one in days.values():
        assert RECOVERED.isdisjoint(GIVEN_UP)
        for losses in ((), (Loss.SHORT_ABANDONED,), (Loss.ABANDONED,)):
            day = one.lost
            parts = day.of(Fate.UNATTENDED, *losses) + day.of(Fate.OPEN, *losses)
            assert day.lost(*losses) == parts + day.recovered(*losses) + day.given_up(*losses)
        assert min(one.lost.counts.values(), default=0) >= 0
    asked_for = Counter(event.callback for event in events if isinstance(event, CallbackAsked))
    assert sum(one.attempts.asked.total() for one in days.values()) == len(asked_for)
    gone = {event.callback for event in events if isinstance(event, CallbackEnded)}
    assert sum(one.states.total() for one in found.open().values()) == len(asked_for.keys() - gone)
    dialled = {event.contact for event in events if isinstance(event, CallDialled)}
    done = {event.contact for event in events if isinstance(event, ContactEnded)}
    assert sum(one.attempts.attempts for one in days.values()) == len(dialled & done)


@settings(max_examples=100, deadline=None)
@given(stories())
def test_nothing_is_kept_of_calls_and_callbacks_that_are_over(events: list[Event]) -> None:
    found = recovery(events)
    calls = {event.contact for event in events if isinstance(event, ContactArrived)}
    done = {event.contact for event in events if isinstance(event, ContactEnded)}
    assert found._lost._calls.keys() == calls - done
    gone = {event.callback for event in events if isinstance(event, CallbackEnded)}
    asked_for = {event.callback for event in events if isinstance(event, CallbackAsked)}
    assert found._lost._callbacks.keys() == found._attempts.open.keys() == asked_for - gone


def test_rules_of_the_queue_say_what_is_short_and_how_long_a_customer_is_known() -> None:
    rules = CallbackRules(min_wait_seconds=90.0, expires_seconds=HOUR)
    queues = {"sales": Queue("sales", "Sales", callback=rules)}
    day = recovery([*lost("a", NOON), *served("b", NOON + 2 * HOUR)], queues).today("sales", NOON).lost
    assert +day.counts == {(Loss.SHORT_ABANDONED, Fate.UNATTENDED): 1}


def test_after_a_restart_it_is_what_it_would_have_been() -> None:
    events = [*lost("a", NOON), asked("k", NOON + 1, "a"), *attempt("b", NOON + 60, "k"), picks_up("b", NOON + 80)]
    ending = [answered("b", NOON + 83), ends("b", NOON + 90, Outcome.ANSWERED), over("k", NOON + 90, CallbackState.REACHED)]
    running, fresh = recovery(events), recovery([])
    twin = fresh.anew()
    for number, event in enumerate(events):
        twin.take(number, event)
    fresh.become(twin)
    for number, event in enumerate(ending):
        running.take(number, event)
        fresh.take(number, event)
    assert fresh.of_queue("sales", NOON) == running.of_queue("sales", NOON)
    assert fresh.today("sales", NOON).attempts.kept_waiting == 1
    assert fresh.abandonment("sales", NOON + 29 * 24 * HOUR) == 1.0
    assert fresh.abandonment("sales", NOON + 30 * 24 * HOUR) is None
    assert {type(event) for event in (*events, *ending)} <= set(Recovery.kinds)
    assert fresh.since(NOON) < NOON - 31 * 24 * HOUR
