"""A contact whose queue asks a strategy: its story, and whoever leaves while it is asked.  And queues that are edited."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from easycall.events import Answered, ContactEnded, Offered, Queued, QueueEdited, QueueOverflowed, StrategyAsked
from easycall.model import AgentState, OfferOutcome, Outcome, OverflowRule, OverflowTo, OverflowWhen, Stage
from easycall.verbs import Pick
from tests.contact_world import World, answers, check, refuses, words
from tests.strategies import Oracle

pytestmark = pytest.mark.requirement("D1")

BOTH = {"ana": ("sales",), "bo": ("sales",)}
LATE = (OverflowRule(OverflowWhen.WAITED, OverflowTo.FLOW, "bye", 1.0),)


class Asking(World):
    """Ana and bo are ready, and a strategy is asked which of them gets a caller."""

    def __init__(self, seconds: float = 5.0, **queue: Any) -> None:
        self.oracle = Oracle()
        super().__init__(BOTH, self.oracle.settings(seconds=seconds), strategy="crm", **queue)

    def is_asked(self) -> None:
        self.caller_leg = self.caller()
        self.until(lambda: self.oracle.cases)
        assert not self.has(Offered)()

    def agent(self, name: str) -> AgentState:
        return self.distributor.staff.agents[name].state

    def ends(self) -> ContactEnded:
        """The caller hangs up if still there, and nothing is left."""
        self.caller_leg.dies()
        self.run()
        check(self)
        end: ContactEnded = self.notes.of(ContactEnded)[-1]
        return end


def test_the_agent_it_names_is_rung_and_talks() -> None:
    world = Asking()
    world.is_asked()
    [case] = world.oracle.cases
    assert (case.caller, case.dialled, case.chosen.id, [one.id for one in case.others]) == ("+4930", "sales", "ana", ["bo"])
    world.clock.advance(0.2)
    world.oracle.says("bo")
    world.until(world.has(Answered))
    assert [leg["phone"] for leg in world.switch.rung] == ["bo"]
    assert words(world.told)[2:10] == [
        "queue.entered",
        "ana reserved",
        "ana ready",
        "bo reserved",
        "strategy.asked",
        "offer.made",
        "bo ringing",
        "screen.pop",
    ]
    assert world.ends().outcome is Outcome.ANSWERED


@pytest.mark.parametrize("when", ["before", "in the same moment", "behind"])
def test_the_caller_hangs_up(when: str) -> None:
    world = Asking()
    world.is_asked()
    if when == "before":
        world.caller_leg.dies()
        world.run()
        assert world.oracle.promises[0].called
    elif when == "in the same moment":
        world.clock.callLater(0.1, world.caller_leg.dies)
        world.clock.callLater(0.1, lambda: world.oracle.promises[0].called or world.oracle.says("bo"))
        world.clock.advance(0.1)
    else:
        world.oracle.says("bo")
    assert world.ends().outcome is Outcome.ABANDONED
    assert {world.agent(name) for name in BOTH} == {AgentState.READY}


def test_a_rule_that_holds_while_it_is_asked_takes_nobody_away_and_costs_nothing() -> None:
    world = Asking(overflow=LATE)
    world.phones["ana"] = answers(after=0.5)
    world.is_asked()
    world.until(world.has(StrategyAsked), turns=100)
    assert not world.has(QueueOverflowed)()
    world.until(world.has(Answered))
    assert world.ends().outcome is Outcome.ANSWERED


def test_a_rule_that_holds_when_the_offer_came_to_nothing() -> None:
    world = Asking(overflow=LATE)
    world.phones["ana"] = world.phones["bo"] = refuses(OfferOutcome.DECLINED, 0.5)
    world.is_asked()
    world.clock.advance(2.0)
    world.oracle.says("bo")
    world.until(world.has(ContactEnded))
    assert world.notes.of(ContactEnded)[0].outcome is Outcome.OVERFLOWED
    assert {world.agent(name) for name in BOTH} == {AgentState.READY}


@pytest.mark.parametrize("answer", ["bo", "ana", None])
def test_an_agent_picks_the_contact_meanwhile(answer: str | None) -> None:
    world = Asking()
    world.is_asked()
    done: list[object] = []
    world.contacts.ask("k000", Pick("bo")).addBoth(done.append)
    if not world.oracle.promises[0].called:
        world.oracle.says(answer)
    world.until(world.has(Answered))
    assert [one.agent for one in world.notes.of(Answered)] == ["bo"]
    assert (done, world.agent("ana")) == ([{}], AgentState.READY)
    assert world.ends().outcome is Outcome.ANSWERED


def test_the_daemon_stops_meanwhile() -> None:
    world = Asking()
    world.is_asked()
    told = len(world.notes.events)
    world.stop()
    assert world.oracle.promises[0].called
    world.clock.advance(10.0)
    assert (world.notes.events[told:], world.switch.rung) == ([], [])
    assert not world.clock.getDelayedCalls()


def test_data_attached_before_is_told_and_the_stage_is_waiting() -> None:
    world = Asking()
    world.caller_leg = world.caller("95588", keys=["1"])
    world.contact.data["tier"] = "gold"
    world.until(lambda: world.oracle.cases)
    assert (world.oracle.cases[0].data, world.oracle.cases[0].answers) == ({"tier": "gold"}, {"menu": "sales"})
    assert world.contact.stage is Stage.WAITING
    world.ends()


# Queues that are edited


def edit(world: World, **changes: Any) -> None:
    """As QueueEdits does it."""
    queue = evolve(world.distributor.queues["sales"], **changes)
    world.notes.record(QueueEdited(at=world.clock.seconds(), queue="sales", changed=changes))
    world.distributor.set_queue(queue)


def test_a_shorter_longest_wait_holds_for_who_waits() -> None:
    world = World()
    world.caller()
    world.until(world.has(Queued))
    world.clock.advance(30.0)
    edit(world, max_wait_seconds=60.0)
    world.clock.advance(29.0)
    assert not world.has(QueueOverflowed)()
    edit(world, max_wait_seconds=40.0)
    world.clock.advance(0.1)
    [gone] = world.notes.of(QueueOverflowed)
    assert gone.waited == pytest.approx(59.0, abs=0.2)
    world.run()


def test_a_shorter_ring_holds_for_the_next_ring() -> None:
    world = World({"ana": ("sales",)})
    world.distributor.staff.set_state("ana", AgentState.NOT_READY)
    caller = world.caller()
    world.clock.advance(5.0)
    edit(world, ring_seconds=7.0)
    world.distributor.staff.set_state("ana", AgentState.READY)
    world.until(world.has(Answered))
    assert world.switch.rung[0]["seconds"] == 7.0
    caller.dies()
    world.run()
    check(world)
