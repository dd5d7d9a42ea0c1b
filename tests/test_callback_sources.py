"""Which contacts become callbacks, who is on the line, who is there, and who is dialled ahead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from attrs import evolve
from twisted.internet.task import Clock

from easycall.callback.circumstances import Circumstances
from easycall.callback.dial_ahead import DialAhead
from easycall.callback.lifecycle import Begin, Later, Why
from easycall.callback.pacing import AnswerTimes
from easycall.callback.sources import Lost, Sources
from easycall.events import Answered, CallDialled, ContactArrived, ContactEnded, Event, Queued, QueueOverflowed
from easycall.model import (
    Agent,
    AgentState,
    Callback,
    CallbackSource,
    Contact,
    Direction,
    EndedBy,
    Outcome,
    Queue,
)
from easycall.policy import Channel

pytestmark = [pytest.mark.requirement("B2"), pytest.mark.requirement("B3")]

EVA = "+49301234567"
ONE = Callback("c1", "sales", EVA, CallbackSource.ASKED, created=0.0, due=0.0, expires=900.0)


def arrives(contact: str = "k1", *, inbound: bool = True, **more: Any) -> ContactArrived:
    ends = {"caller": EVA, "dialled": "95588"} if inbound else {"caller": "", "dialled": EVA}
    how = {"direction": Direction.INBOUND if inbound else Direction.OUTBOUND, "pbx": "sim", "leg": "1", "caller_name": "Eva"}
    return ContactArrived(at=1.0, contact=contact, **{**ends, **how, **more})


def queued(contact: str = "k1", queue: str = "sales", at: float = 2.0) -> Queued:
    return Queued(at=at, contact=contact, queue=queue, position=1, since=at)


def dialled(contact: str = "k1", **more: Any) -> CallDialled:
    how = {"leg": "1", "number": EVA, "trunk": "out", "caller_id": "", "purpose": "customer", "queue": "sales"}
    return CallDialled(at=3.0, contact=contact, **{**how, **more})


def ended(outcome: Outcome, by: EndedBy = EndedBy.CALLER, contact: str = "k1") -> ContactEnded:
    return ContactEnded(at=12.0, contact=contact, outcome=outcome, ended_by=by)


def told(*events: Event) -> Lost | None:
    """What the last of them comes to."""
    sources, lost = Sources(), None
    for event in events:
        lost = sources.take(event)
    return lost


@pytest.mark.parametrize(
    ("outcome", "by", "source"),
    [
        (Outcome.ABANDONED, EndedBy.CALLER, CallbackSource.ABANDONED),
        (Outcome.ABANDONED, EndedBy.SYSTEM, CallbackSource.OUTAGE),
        (Outcome.ABANDONED, EndedBy.API, None),
        (Outcome.ABANDONED, EndedBy.AGENT, None),
        (Outcome.FAILED, EndedBy.SYSTEM, CallbackSource.OUTAGE),
        (Outcome.CLOSED, EndedBy.FLOW, CallbackSource.CLOSED),
        (Outcome.FULL, EndedBy.FLOW, CallbackSource.FULL),
        (Outcome.OVERFLOWED, EndedBy.FLOW, CallbackSource.FULL),
        (Outcome.CALLBACK, EndedBy.FLOW, None),
        (Outcome.MESSAGE_LEFT, EndedBy.CALLER, None),
        (Outcome.ABANDONED_IN_IVR, EndedBy.CALLER, None),
        (Outcome.SELF_SERVED, EndedBy.FLOW, None),
    ],
)
def test_what_becomes_of_one_who_called(outcome: Outcome, by: EndedBy, source: CallbackSource | None) -> None:
    lost = told(arrives(), queued(), ended(outcome, by))
    assert (lost.source if lost is not None else None) == source
    if lost is not None:
        who = lost.contact, lost.session, lost.queue, lost.number, lost.name, lost.waited
        assert who == ("k1", "k1", "sales", EVA, "Eva", 10.0)


@pytest.mark.parametrize(
    ("outcome", "channel", "source"),
    [
        (Outcome.BUSY, Channel.CALL, CallbackSource.UNANSWERED),
        (Outcome.NO_ANSWER, Channel.CALL, CallbackSource.UNANSWERED),
        (Outcome.DECLINED, Channel.CALL, None),
        (Outcome.CANCELLED, Channel.CALL, None),
        (Outcome.BUSY, Channel.CALLBACK, None),
        (Outcome.BUSY, Channel.CALL_ME, None),
    ],
)
def test_what_becomes_of_one_whom_an_agent_called(outcome: Outcome, channel: Channel, source: CallbackSource | None) -> None:
    lost = told(arrives(inbound=False, channel=channel, agent="ana"), dialled(), ended(outcome, EndedBy.NETWORK))
    assert (lost.source if lost is not None else None) == source
    assert lost is None or (lost.agent, lost.waited) == ("ana", 0.0)


@pytest.mark.parametrize(
    "story",
    [
        [arrives(caller=""), queued()],
        [arrives(channel=Channel.CHAT), queued()],
        [arrives()],
        [arrives(), queued(), Answered(at=4.0, contact="k1", agent="ana", queue="sales", waited=2.0, leg="2")],
        [queued()],
    ],
    ids=["withheld", "not spoken", "never in a queue", "talked", "unknown"],
)
def test_nobody_is_called_back_who_cannot_be_or_need_not(story: list[Event]) -> None:
    assert told(*story, ended(Outcome.ABANDONED)) is None


def test_who_went_from_queue_to_queue_is_called_back_for_the_last() -> None:
    over = QueueOverflowed(at=5.0, contact="k1", queue="support", to="sales", rule="full", waited=3.0)
    lost = told(arrives(), queued("k1", "support"), over, queued(at=6.0), ended(Outcome.ABANDONED))
    assert lost is not None
    assert (lost.queue, lost.waited) == ("sales", 6.0)


@pytest.mark.fault("F73")
def test_a_customer_is_on_the_line_from_the_call_to_its_end() -> None:
    sources = Sources()
    sources.take(arrives("k1"))
    sources.take(arrives("k2"))
    sources.take(ended(Outcome.ABANDONED, contact="k1"))
    assert sources.on_the_line(EVA)
    assert not sources.on_the_line("+4930")
    sources.take(ended(Outcome.ABANDONED, contact="k2"))
    sources.take(ended(Outcome.ABANDONED, contact="k2"))
    assert not sources.on_the_line(EVA)


@pytest.mark.fault("F73")
@pytest.mark.parametrize("channel", [Channel.CALL, Channel.CALLBACK, Channel.CALL_ME])
def test_a_customer_is_on_the_line_who_is_being_called(channel: Channel) -> None:
    """For another queue, or by an agent: only the attempt itself is not in its own way."""
    sources = Sources()
    sources.take(arrives(inbound=False, channel=channel))
    assert not sources.on_the_line(EVA)
    sources.take(dialled())
    assert sources.on_the_line(EVA)
    assert not sources.on_the_line(EVA, but="k1")
    sources.take(ended(Outcome.BUSY, EndedBy.NETWORK))
    assert not sources.on_the_line(EVA)


@pytest.mark.parametrize("inbound", [True, False])
def test_who_was_on_the_line_before_a_restart_is(inbound: bool) -> None:
    sources = Sources()
    ends = (EVA, "95588") if inbound else ("", EVA)
    direction = Direction.INBOUND if inbound else Direction.OUTBOUND
    known = Contact("k1", "sim", "1", ends[0], "Eva", ends[1], 1.0, direction=direction)
    sources.resume(known)
    assert (sources.on_the_line(EVA), sources.number_of("k1")) == (True, EVA)
    sources.take(ended(Outcome.FAILED))
    assert (sources.on_the_line(EVA), sources.number_of("k1")) == (False, "")


# Who is there


def test_who_is_logged_in_counts() -> None:
    ana = Agent("ana", "Ana", ("sales",), ("sales",))
    sources, queues = Sources(), {"sales": Queue("sales", "Sales")}
    there = Circumstances(queues, {"ana": ana}, sources, ZoneInfo("UTC"), Clock())
    assert there.agent_changed("nobody") == frozenset()
    assert there.agent_changed("ana") == frozenset()
    assert there.judge(ONE) == Later(Why.NOBODY_THERE, 900.0)
    ana.state = AgentState.NOT_READY
    assert there.agent_changed("ana") == {"sales"}
    assert there.agent_changed("ana") == frozenset()
    assert there.judge(evolve(ONE, agent="ana")) == Begin("ana")
    sources.take(arrives("k2", inbound=False, channel=Channel.CALLBACK))
    sources.take(dialled("k2"))
    assert there.judge(ONE) == Later(Why.ON_THE_LINE, 900.0)
    assert there.judge(evolve(ONE, contact="k2")) == Begin()
    ana.queues = ("support",)
    assert there.agent_changed("ana") == {"support"}
    assert there.judge(evolve(ONE, contact="k2")) == Later(Why.NOBODY_THERE, 900.0)


# Who is dialled ahead


class Ahead:
    """A line, a forecast of it, and who may be dialled."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.places: dict[str, int] = {}
        self.free_after: list[float] = []
        self.turns: list[str] = []
        self.dialler = DialAhead(self, self, AnswerTimes(), self.clock)

    def ahead(self, contact: str) -> Mapping[str, int]:
        return {"sales": self.places[contact]}

    def after(self, queue: str, ahead: int) -> float | None:
        return self.free_after[ahead] if ahead < len(self.free_after) else None

    def waits(self, contact: str, place: int) -> Any:
        self.places[contact] = place
        turn = self.dialler.turn(contact, "sales")
        turn.addCallbacks(lambda _: self.dials(contact), lambda _: None)
        return turn

    def dials(self, contact: str) -> None:
        self.turns.append(contact)
        self.dialler.dialled(contact, "sales")


def test_as_many_are_dialled_as_will_be_free_and_others_when_these_have_agents() -> None:
    line = Ahead()
    for place, contact in enumerate(("a", "b", "c")):
        line.waits(contact, place)
    line.clock.advance(0.0)
    assert line.turns == []
    line.free_after = [2.0, 9.0, 30.0]
    line.clock.advance(1.0)
    assert line.turns == ["a", "b"]
    line.places = {"c": 0}
    line.clock.advance(5.0)
    assert line.turns == ["a", "b"]
    line.dialler.take(1, Answered(at=4.0, contact="a", agent="ana", queue="sales", waited=2.0, leg="2"))
    line.clock.advance(1.0)
    assert line.turns == ["a", "b", "c"]
    assert not line.clock.getDelayedCalls()


def test_of_two_who_may_be_dialled_the_first_in_line_is_dialled_first() -> None:
    line = Ahead()
    line.free_after = [0.0, 0.0]
    line.waits("behind", 1)
    line.waits("before", 0)
    line.clock.advance(0.0)
    assert line.turns == ["before", "behind"]


def test_who_waits_no_more_or_is_not_in_line_is_not_dialled() -> None:
    line = Ahead()
    line.free_after = [0.0, 0.0, 0.0]
    line.waits("a", 0).cancel()
    line.waits("b", 0)
    del line.places["b"]
    line.clock.advance(5.0)
    assert line.turns == []
    line.dialler.stop()
    line.waits("c", 0)
    assert not line.clock.getDelayedCalls()


def test_who_waits_for_one_agent_alone_is_not_dialled_for_another() -> None:
    line = Ahead()
    line.free_after = [0.0]
    line.places["a"] = 0
    line.dialler.turn("a", "sales", 20.0).addCallback(lambda _: line.dials("a"))
    line.clock.pump([1.0] * 19)
    assert line.turns == []
    line.clock.pump([1.0] * 2)
    assert line.turns == ["a"]
