"""Overflow: which rule holds, who is there for a queue, and where callers go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from easycall.acd.overflow import Facts, judge
from easycall.acd.presence import AT_WORK, Presence
from easycall.acd.routing import PRIVATE_CALL
from easycall.events import AgentAssigned, AgentChanged, Answered, ContactEnded, Offered, OfferEnded, Queued, QueueOverflowed
from easycall.hours import Hours, spans_of
from easycall.ivr.nodes import Flow, QueueNode
from easycall.model import (
    AgentState,
    Closing,
    EndedBy,
    OfferOutcome,
    Outcome,
    OverflowRule,
    OverflowTo,
    OverflowWhen,
    PhoneState,
    Queue,
    Stage,
)
from easycall.overflow import OVERFLOW_LIMIT
from easycall.stats.record import fold
from easycall.verbs import Pick

from .contact_world import FLOWS, World, refuses, words
from .fakes_journal import Logged

DAILY = Hours("office", ZoneInfo("UTC"), dict.fromkeys(range(7), spans_of(["08:00-18:00"])))
DAY = 86400.0
NOON, EVENING = 12 * 3600.0, 18 * 3600.0


def rule(when: str, to: str = "hang_up", seconds: float = 0.0, say: str = "") -> OverflowRule:
    kind, _, target = to.partition(":")
    return OverflowRule(OverflowWhen(when), OverflowTo(kind), target, seconds, say)


def queue(*rules: OverflowRule, **more: Any) -> Queue:
    return Queue("sales", "Sales", overflow=rules, **{"hours": DAILY, "max_waiting": 3, **more})


# Which rule holds


@pytest.mark.parametrize(
    ("rules", "facts", "now", "holds"),
    [
        ([rule("closed")], Facts(True, EVENING), EVENING, 0),
        ([rule("closed")], Facts(True, NOON), NOON, None),
        ([rule("closed")], Facts(False, EVENING - 1), EVENING, None),
        ([rule("full")], Facts(True, NOON, waiting=3), NOON, 0),
        ([rule("full")], Facts(True, NOON, waiting=2), NOON, None),
        ([rule("full")], Facts(False, NOON, waiting=9), NOON, None),
        ([rule("nobody_logged_in")], Facts(False, NOON, logged_in=0), NOON, 0),
        ([rule("nobody_logged_in")], Facts(False, NOON, eligible=0), NOON, None),
        ([rule("nobody_eligible")], Facts(True, NOON, eligible=0), NOON, 0),
        ([rule("waited", seconds=60)], Facts(False, NOON), NOON + 59, None),
        ([rule("waited", seconds=60)], Facts(False, NOON), NOON + 60, 0),
        ([rule("expected_wait", seconds=60)], Facts(True, NOON, expected=60.0), NOON, 0),
        ([rule("expected_wait", seconds=60)], Facts(True, NOON, expected=59.0), NOON, None),
        ([rule("expected_wait", seconds=60)], Facts(True, NOON), NOON, None),
        ([rule("full"), rule("closed")], Facts(True, NOON, waiting=3), EVENING, 0),
        ([rule("closed"), rule("full")], Facts(True, NOON, waiting=3), EVENING, 0),
    ],
)
def test_the_first_rule_that_holds(rules: list[OverflowRule], facts: Facts, now: float, holds: int | None) -> None:
    verdict = judge(queue(*rules), facts, now)
    assert isinstance(verdict, float) if holds is None else verdict is rules[holds]


@pytest.mark.fault("F67")
def test_nobody_waits_longer_than_the_longest_wait() -> None:
    plain = queue(max_wait_seconds=600.0, max_wait_prompt="Sorry.")
    assert judge(plain, Facts(False, NOON), NOON + 599) == NOON + 600
    assert judge(plain, Facts(False, NOON), NOON + 600) == rule("waited", seconds=600.0, say="Sorry.")


def test_who_waits_when_the_queue_closes() -> None:
    serves, overflows = queue(rule("closed")), queue(rule("closed"), closing=Closing.OVERFLOW)
    facts = Facts(False, EVENING - 100)
    assert judge(overflows, facts, EVENING - 50) == EVENING
    assert judge(overflows, facts, EVENING) == rule("closed")
    assert judge(serves, facts, EVENING - 50) == judge(serves, facts, EVENING) == EVENING - 100 + 14400


some_rules = st.lists(
    st.builds(
        OverflowRule,
        st.sampled_from(OverflowWhen),
        st.just(OverflowTo.FLOW),
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from([30.0, 60.0, 3600.0, 7200.0]),
    ),
    max_size=4,
)
some_facts = st.builds(
    Facts,
    st.just(False),
    st.sampled_from([EVENING - 5000, EVENING - 60, EVENING - 30.5]),
    waiting=st.integers(0, 4),
    logged_in=st.integers(0, 1),
    eligible=st.integers(0, 1),
    expected=st.none() | st.sampled_from([29.0, 60.0, 9000.0]),
)


@settings(deadline=None)
@given(some_rules, some_facts, st.sampled_from(Closing), st.integers(0, 8000))
def test_who_asks_again_when_told_misses_nothing(
    rules: list[OverflowRule], facts: Facts, closing: Closing, later: int
) -> None:
    """Asking second by second finds a rule at the moment that was named, and never before."""
    line = queue(*rules, closing=closing)
    now = facts.since
    verdict = judge(line, facts, now)
    while isinstance(verdict, float) and verdict <= facts.since + later:
        assert verdict > now
        now = verdict
        verdict = judge(line, facts, now)
    found = next((at for at in range(later + 1) if not isinstance(judge(line, facts, facts.since + at), float)), None)
    if isinstance(verdict, float):
        assert found is None
    else:
        assert found is not None
        assert facts.since + found - 1 < now <= facts.since + found
        assert verdict == judge(line, facts, facts.since + found)


# Who is there

changes = st.lists(
    st.builds(
        AgentChanged,
        at=st.just(0.0),
        agent=st.sampled_from(["ana", "bo", "chen"]),
        state=st.sampled_from(AgentState),
        queues=st.sets(st.sampled_from(["sales", "support"])).map(tuple),
        hindrance=st.sampled_from(["", "on a private call", "phone unreachable", "desktop lost"]),
        next=st.sampled_from([None, AgentState.READY, AgentState.NOT_READY, AgentState.OFFLINE]),
    )
    | st.builds(
        AgentAssigned,
        at=st.just(0.0),
        agent=st.sampled_from(["ana", "bo", "chen"]),
        queues=st.just(()),
        serves=st.sets(st.sampled_from(["sales", "support"])).map(tuple),
    ),
    max_size=30,
)


@given(changes)
def test_presence_is_what_counting_the_latest_word_of_each_gives(events: list[AgentChanged | AgentAssigned]) -> None:
    presence, latest = Presence(), dict[str, AgentChanged]()

    def counted(line: str) -> tuple[int, int]:
        serving = [one for one in latest.values() if line in one.queues and one.state is not AgentState.OFFLINE]
        there = [one for one in serving if one.hindrance in ("", PRIVATE_CALL) and one.next in (None, AgentState.READY)]
        return len(serving), sum(one.state in AT_WORK for one in there)

    for event in events:
        before = {line: counted(line) for line in ("sales", "support")}
        if isinstance(event, AgentChanged):
            latest[event.agent] = event
        elif event.agent in latest:
            latest[event.agent] = evolve(latest[event.agent], queues=event.serves)
        lost = presence.take(event)
        for line, (logged_in, eligible) in before.items():
            now = counted(line)
            assert (presence.logged_in.get(line, 0), presence.eligible.get(line, 0)) == now
            assert (line in lost) is ((logged_in > 0 == now[0]) or (eligible > 0 == now[1]))


# Where callers go


class Centre(World):
    """A call centre whose queues have rules."""

    def __init__(self, agents: dict[str, tuple[str, ...]] | None = None, *, at: float = NOON, **queues: Any) -> None:
        super().__init__(agents)
        self.clock.advance((at - self.clock.seconds()) % DAY)
        for name, more in queues.items():
            line = Queue(name, name.title(), **{"wrap_up_seconds": 5.0, **more})
            self.distributor.queues[name] = line  # type: ignore[index] # a dict, given by World

    @property
    def overflowed(self) -> list[tuple[str, str, str, float]]:
        return [(one.queue, one.rule.value, one.to, one.waited) for one in self.notes.of(QueueOverflowed)]

    def ended(self) -> ContactEnded:
        self.run()
        end: ContactEnded = self.notes.of(ContactEnded)[-1]
        return end


@pytest.mark.requirement("V1")
def test_who_comes_when_it_is_closed_hears_so_and_is_no_abandoned_caller() -> None:
    world = Centre({"ana": ("sales",)}, at=EVENING, sales={"hours": DAILY, "overflow": (rule("closed", say="sound:shut"),)})
    caller = world.caller()
    end = world.ended()
    assert (end.outcome, end.ended_by) == (Outcome.CLOSED, EndedBy.FLOW)
    assert any("shut" in str(heard) for heard in caller.heard)
    assert world.overflowed == [("sales", "closed", "hang_up", 0.0)]
    assert not world.notes.of(Queued)
    assert not world.notes.of(Offered)
    record = fold("k000", [one for one in world.notes.events if one.contact == "k000"])
    assert record is not None
    assert (record.queue, record.waited, record.outcome) == ("sales", 0.0, Outcome.CLOSED)


def test_who_hangs_up_in_the_middle_of_the_message_was_closed_out_all_the_same() -> None:
    world = Centre(at=EVENING, sales={"hours": DAILY, "overflow": (rule("closed", say="sound:shut"),)})
    caller = world.caller()
    world.until(world.has(QueueOverflowed))
    assert world.contact.stage is Stage.IVR
    caller.dies()
    end = world.ended()
    assert (end.outcome, end.ended_by) == (Outcome.CLOSED, EndedBy.CALLER)


def test_full_then_too_long_then_a_flow() -> None:
    """The chain stands in the record, and the time waited counts in the second queue."""
    world = Centre(
        sales={"max_waiting": 1, "overflow": (rule("waited", "queue:support", 40.0), rule("full", "queue:support"))},
        support={"overflow": (rule("waited", "flow:bye", 60.0),)},
    )
    first = world.caller(leg="c1")
    world.clock.advance(10)
    world.caller(leg="c2")
    world.until(lambda: len(world.notes.of(Queued)) == 2)
    assert world.overflowed == [("sales", "full", "queue:support", 0.0)]
    world.until(lambda: len(world.overflowed) == 2)
    assert world.overflowed[1] == ("sales", "waited", "queue:support", pytest.approx(40, abs=0.1))
    assert [item.contact for item in world.distributor.waiting("support")] == ["k000", "k001"], "who waited longer is first"
    assert not first.gone
    end = world.ended()
    assert [one.outcome for one in world.notes.of(ContactEnded)] == [Outcome.OVERFLOWED] * 2
    assert end.ended_by is EndedBy.FLOW
    record = fold("k000", [one for one in world.notes.events if one.contact == "k000"])
    assert record is not None
    assert [(one.queue, one.rule, one.to) for one in record.overflows] == [
        ("sales", OverflowWhen.WAITED, "queue:support"),
        ("support", OverflowWhen.WAITED, "flow:bye"),
    ]
    assert [(part.kind.value, part.queue) for part in record.segments][-3:] == [
        ("waiting", "sales"),
        ("waiting", "support"),
        ("ivr", ""),
    ]
    assert record.waited == pytest.approx(60, abs=0.1)


def test_a_caller_whose_agent_rings_is_not_taken_away() -> None:
    """The rule holds while the phone rings; it acts when that came to nothing."""
    world = Centre({"ana": ("sales",)}, sales={"overflow": (rule("waited", "flow:bye", 5.0),)})
    world.phones["ana"] = refuses(OfferOutcome.NO_ANSWER, 15.0)
    world.caller()
    world.until(world.has(QueueOverflowed))
    assert world.overflowed == [("sales", "waited", "flow:bye", pytest.approx(15, abs=0.2))]
    assert world.has(OfferEnded)()
    assert world.ended().outcome is Outcome.OVERFLOWED


def test_a_caller_whose_agent_answers_in_time_is_answered() -> None:
    world = Centre({"ana": ("sales",)}, sales={"overflow": (rule("waited", "flow:bye", 1.0),)})
    caller = world.caller()
    world.until(world.has(Answered))
    world.clock.advance(60)
    caller.dies()
    assert world.ended().outcome is Outcome.ANSWERED
    assert not world.overflowed


@pytest.mark.parametrize("when", ["nobody_logged_in", "nobody_eligible"])
def test_when_the_last_agent_leaves_those_who_wait_go_at_once(when: str) -> None:
    world = Centre({"ana": ("sales",), "bo": ("sales",)}, sales={"overflow": (rule(when, "flow:bye"),)})
    for name in ("ana", "bo"):
        world.distributor.staff.set_state(name, AgentState.NOT_READY) if when == "nobody_logged_in" else None
    caller = world.caller()
    leave: Callable[[str], None] = world.distributor.staff.log_out
    if when == "nobody_eligible":
        world.until(world.has(Answered))  # by ana
        second = world.caller(leg="c2")
        world.until(lambda: len(world.notes.of(Answered)) == 2)
        world.caller(leg="c3")
        world.until(lambda: len(world.notes.of(Queued)) == 3)
        world.distributor.staff.set_state("ana", AgentState.NOT_READY)
        world.clock.advance(30)
        assert not world.overflowed, "bo talks, and will be ready"
        world.distributor.staff.set_state("bo", AgentState.NOT_READY)
        for leg in (caller, second):
            leg.dies()
    else:
        world.until(world.has(Queued))
        leave("ana")
        world.clock.advance(10)
        assert not world.overflowed, "one is there"
        leave("bo")
    world.until(world.has(QueueOverflowed))
    assert [one[:3] for one in world.overflowed] == [("sales", when, "flow:bye")]
    assert world.ended().outcome is Outcome.OVERFLOWED


def test_nobody_is_there_when_the_caller_comes() -> None:
    world = Centre(sales={"overflow": (rule("nobody_logged_in", "flow:bye"),)})
    world.caller()
    assert world.ended().outcome is Outcome.OVERFLOWED
    assert not world.notes.of(Queued)


def test_a_phone_out_of_reach_is_nobody() -> None:
    world = Centre({"ana": ("sales",)}, sales={"overflow": (rule("nobody_eligible", "flow:bye"),)})
    world.distributor.staff.phone_is("main", "ana", PhoneState.UNREACHABLE)
    world.caller()
    assert world.ended().outcome is Outcome.OVERFLOWED
    assert [one[1] for one in world.overflowed] == ["nobody_eligible"]


@pytest.mark.parametrize("closing", Closing)
def test_what_becomes_of_those_who_wait_when_it_closes(closing: Closing) -> None:
    world = Centre(at=EVENING - 60, sales={"hours": DAILY, "closing": closing, "overflow": (rule("closed", "flow:bye"),)})
    caller = world.caller()
    world.until(world.has(Queued))
    world.clock.advance(59)
    assert not world.overflowed
    world.clock.pump([1.0] * 60)
    if closing is Closing.SERVE:
        assert world.contact.stage is Stage.WAITING
        caller.dies()
        assert world.ended().outcome is Outcome.ABANDONED
    else:
        assert world.overflowed == [("sales", "closed", "flow:bye", pytest.approx(60, abs=1))]
        assert world.ended().outcome is Outcome.CLOSED


@pytest.mark.fault("F67")
def test_the_longest_wait_ends_with_a_word() -> None:
    world = Centre(sales={"max_wait_seconds": 900.0, "max_wait_prompt": "sound:sorry"})
    caller = world.caller()
    world.until(world.has(Queued))
    world.clock.pump([1.0] * 899)
    assert not world.overflowed
    end = world.ended()
    assert world.overflowed == [("sales", "waited", "hang_up", pytest.approx(900, abs=0.1))]
    assert (end.outcome, end.ended_by) == (Outcome.OVERFLOWED, EndedBy.FLOW)
    assert any("sorry" in str(heard) for heard in caller.heard)


def test_who_comes_back_after_a_talk_is_not_kept_out() -> None:
    """A customer whose agent was lost at closing time is first in line, closed and full or not."""
    world = Centre(
        {"ana": ("sales",)},
        at=EVENING - 30,
        sales={"hours": DAILY, "max_waiting": 1, "overflow": (rule("closed", "flow:bye"), rule("full", "flow:bye"))},
    )
    caller = world.caller(leg="c1")
    world.until(world.has(Answered))
    second = world.caller(leg="c2")
    world.until(lambda: len(world.notes.of(Queued)) == 2)
    world.clock.advance(60)
    agent = next(leg for leg in world.switch.legs if leg.phone == "ana")
    agent.died_of = "44"
    agent.dies()
    world.until(lambda: len(world.notes.of(Queued)) == 3)
    assert not world.overflowed
    assert [item.contact for item in world.distributor.waiting("sales")] == ["k000", "k001"]
    for leg in (caller, second):
        leg.dies()
    world.run()


def test_a_pick_that_comes_to_nothing_does_not_begin_the_wait_anew() -> None:
    world = Centre({"ana": ("support",)}, sales={"overflow": (rule("waited", "flow:bye", 60.0),)})
    world.phones["ana"] = refuses(OfferOutcome.DECLINED, 10.0)
    world.caller()
    world.until(world.has(Queued))
    world.clock.advance(40)
    world.contacts.ask("k000", Pick("ana"))
    world.until(world.has(QueueOverflowed))
    assert world.overflowed == [("sales", "waited", "flow:bye", pytest.approx(60, abs=0.1))]
    assert world.ended().outcome is Outcome.OVERFLOWED


def test_a_place_that_was_left_takes_no_agent() -> None:
    """The agent becomes ready in the very moment in which the caller is sent on."""
    world = Centre({"ana": ("sales",)}, sales={"overflow": (rule("waited", "flow:bye", 60.0),)})
    staff = world.distributor.staff
    staff.set_state("ana", AgentState.NOT_READY)
    world.caller()
    world.until(world.has(Queued))
    waits = world.notes.of(Queued)[0].at + 60
    world.clock.callLater(waits - world.clock.seconds(), staff.set_state, "ana", AgentState.READY)
    end = world.ended()
    offered = bool(world.notes.of(Offered))
    assert offered is (end.outcome is Outcome.ANSWERED)
    assert staff.agents["ana"].state is AgentState.READY
    assert staff.agents["ana"].contact == ""


@pytest.mark.logs_failures
def test_flows_that_send_back_end_somewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FLOWS, "back", Flow("back", "back", {"back": QueueNode("sales")}))
    world = Centre(sales={"overflow": (rule("nobody_logged_in", "flow:back"),)})
    with Logged() as failures:
        world.caller()
        end = world.ended()
    assert (end.outcome, len(world.overflowed)) == (Outcome.FAILED, OVERFLOW_LIMIT)
    assert "its overflow leads back to it, through flows" in str(failures[0])


def test_the_word_of_a_rule_is_told() -> None:
    world = Centre(at=EVENING, sales={"hours": DAILY, "overflow": (rule("closed"),)})
    world.caller()
    world.run()
    assert words(world.told)[-2:] == ["queue.overflowed", "contact.ended"]


def test_an_expected_wait_is_asked_for_when_one_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Centre(sales={"overflow": (rule("expected_wait", "flow:bye", 120.0),)})
    monkeypatch.setattr(world.contacts._overflow, "_expected", lambda queue: 300.0 if queue == "sales" else None)
    world.caller()
    assert world.ended().outcome is Outcome.OVERFLOWED
    assert [one[1] for one in world.overflowed] == ["expected_wait"]


def test_the_last_agent_leaves_the_queue_while_working() -> None:
    world = Centre({"ana": ("sales", "support")}, sales={"overflow": (rule("nobody_logged_in", "flow:bye"),)})
    staff = world.distributor.staff
    staff.set_state("ana", AgentState.NOT_READY)
    world.caller()
    world.until(world.has(Queued))
    staff.assign("ana", ("support",), ("support",), {})
    world.until(world.has(QueueOverflowed))
    assert world.ended().outcome is Outcome.OVERFLOWED
