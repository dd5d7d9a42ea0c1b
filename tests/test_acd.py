"""Routing and the waiting room: who gets whom, and that nobody is lost between."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from easycall.acd import routing
from easycall.acd.agent import BUSY, NotNow
from easycall.acd.distributor import Distributor
from easycall.acd.offers import Offer, Place
from easycall.acd.wrapup import WrapUpRules
from easycall.events import AgentChanged, Queued
from easycall.model import Agent, AgentState, OfferOutcome, PhoneState
from easycall.policy import WorkItem
from tests.acd import QUEUES, item, ready, room


def given_out(distributor: Distributor, *items: WorkItem) -> list[tuple[str, str]]:
    """Who got whom, of items that came while nothing could be offered."""
    pairs: list[tuple[str, str]] = []
    for box in ("main", "other"):
        distributor.freeze(box)
    for one in items:
        distributor.enter(one).offer().addCallback(lambda offer, one=one: pairs.append((one.contact, offer.agent)))
    for box in ("main", "other"):
        distributor.thaw(box)
    return pairs


class TestRouting:
    def test_the_longest_waiting_gets_the_longest_idle(self) -> None:
        distributor, _, _ = room(ready("bo", 2), ready("ana", 1))
        assert given_out(distributor, item("late", 5), item("early", 3)) == [("early", "ana"), ("late", "bo")]

    def test_an_agent_of_two_queues_gets_the_item_that_waits_longest_over_both(self) -> None:
        distributor, _, _ = room(ready("ana", 0, "sales", "support"))
        assert given_out(distributor, item("a", 5, "sales"), item("b", 4, "support")) == [("b", "ana")]

    def test_a_frozen_asterisk_holds_its_callers_only(self) -> None:
        distributor, _, _ = room(ready("ana"))
        distributor.freeze("main")
        distributor.enter(item("a", 1))
        offer = distributor.enter(evolve(item("b", 2), pbx="other")).offer()
        assert offer.called


PHONE_STATES = [None, *PhoneState]


class TestHindrance:
    @given(st.sampled_from(PHONE_STATES), st.sampled_from(PHONE_STATES))
    def test_a_private_call_counts_everywhere_and_a_phone_that_is_away_where_it_is(self, here: Any, there: Any) -> None:
        agent = ready("ana")
        agent.phones = {box: state for box, state in (("main", here), ("other", there)) if state is not None}
        private = {here, there} & {PhoneState.IN_USE, PhoneState.RINGING}
        distributor, _, _ = room(agent)
        pairs = given_out(distributor, item("a"))
        assert bool(pairs) == (not private and here is not PhoneState.UNREACHABLE)
        assert bool(pairs) == (not routing.hindrance(agent, "main"))
        known = {state for state in (here, there) if state is not None}
        away = known == {PhoneState.UNREACHABLE}
        expected = "on a private call" if private else "phone unreachable" if away else ""
        assert routing.hindrance(agent) == expected


class TestDistributor:
    def test_a_free_agent_is_reserved_in_the_same_turn(self) -> None:
        distributor, _, notes = room(ready("ana"))
        offers: list[Offer] = []
        distributor.enter(item("c1")).offer().addCallback(offers.append)
        assert [offer.agent for offer in offers] == ["ana"]
        assert distributor.staff.agents["ana"].state is AgentState.RESERVED
        assert [type(event) for event in notes.events] == [Queued, AgentChanged]

    def test_an_agent_who_does_not_answer_is_not_ready_and_the_place_is_kept(self) -> None:
        distributor, _, _ = room(ready("ana"))
        first = distributor.enter(item("c1", 1))
        distributor.enter(item("c2", 2))
        offers: list[Offer] = []
        first.offer().addCallback(offers.append)
        offers[0].rings()
        offers[0].ended(OfferOutcome.NO_ANSWER)
        ana = distributor.staff.agents["ana"]
        assert (ana.state, ana.reason) == (AgentState.NOT_READY, "missed")
        assert [one.contact for one in distributor.waiting("sales")] == ["c1", "c2"]
        assert distributor.position("c1") == 1

    def test_a_decline_gives_the_next_agent_and_is_offered_again_only_after_its_time(self) -> None:
        distributor, clock, _ = room(ready("ana"))
        place = distributor.enter(item("c1"))
        offers: list[Offer] = []
        place.offer().addCallback(offers.append)
        offers[0].ended(OfferOutcome.DECLINED)
        assert distributor.staff.agents["ana"].state is AgentState.READY
        place.offer().addCallback(offers.append)
        clock.advance(29.9)
        assert len(offers) == 1
        clock.advance(0.2)
        assert [offer.attempt for offer in offers] == [1, 2]

    def test_a_caller_who_leaves_with_an_offer_untaken_frees_the_agent(self) -> None:
        distributor, _, _ = room(ready("ana"))
        place = distributor.enter(item("c1"))
        place.leave()
        assert distributor.staff.agents["ana"].state is AgentState.READY
        assert distributor.waiting("sales") == []

    def test_wrap_up_ends_by_its_time_and_by_the_agent(self) -> None:
        distributor, clock, _ = room(ready("ana"))
        ana = distributor.staff.agents["ana"]
        for contact, end in (
            ("c1", lambda: clock.advance(10)),
            ("c2", lambda: distributor.staff.set_state("ana", AgentState.READY)),
        ):
            place = distributor.enter(item(contact))
            offers: list[Offer] = []
            place.offer().addCallback(offers.append)
            offers[0].talks("sales")
            offers[0].parted(WrapUpRules(10.0))
            assert (ana.state, ana.contact, ana.until) == (AgentState.WRAP_UP, contact, clock.seconds() + 10)
            end()
            assert (ana.state, ana.contact, ana.until) == (AgentState.READY, "", 0.0)
        assert clock.getDelayedCalls() == []

    def test_what_is_asked_for_while_busy_is_taken_up_afterwards(self) -> None:
        distributor, _, _ = room(ready("ana"))
        ana = distributor.staff.agents["ana"]
        offers: list[Offer] = []
        distributor.enter(item("c1")).offer().addCallback(offers.append)
        distributor.staff.set_state("ana", AgentState.NOT_READY, "lunch")
        offers[0].talks("sales")
        offers[0].parted(WrapUpRules(0.0))
        assert (ana.state, ana.reason, ana.wants) == (AgentState.NOT_READY, "lunch", None)

    def test_bad_asks_are_refused(self) -> None:
        distributor, _, _ = room(Agent("ana", "Ana", ("sales",), ("sales",)))
        with pytest.raises(KeyError):
            distributor.staff.log_in("nobody", "2001")
        with pytest.raises(ValueError, match="unknown queue: moon"):
            distributor.staff.log_in("ana", "2001", ["moon"])
        with pytest.raises(ValueError, match="no phone of its own"):
            distributor.staff.log_in("ana")
        with pytest.raises(ValueError, match="Local/9@x"):
            distributor.staff.log_in("ana", "2001&Local/9@x")
        with pytest.raises(NotNow, match="offline cannot become ready"):
            distributor.staff.set_state("ana", AgentState.READY)
        with pytest.raises(ValueError, match="ready or not_ready"):
            distributor.staff.set_state("ana", AgentState.TALKING)
        with pytest.raises(KeyError):
            distributor.enter(item("c1", queue="moon"))


class WaitingRoom(RuleBasedStateMachine):
    """Random arrivals, departures, offers and agents: nobody is reserved twice, no possible pair is left."""

    def __init__(self) -> None:
        super().__init__()
        agents = [
            Agent(name, name, queues, queues)
            for name, queues in (("ana", ("sales",)), ("bo", ("sales", "support")), ("chen", ("support",)))
        ]
        self.distributor, self.clock, _ = room(*agents)
        self.places: dict[str, Place] = {}
        self.frozen = False
        self.offers: dict[str, Offer] = {}
        self.talks: dict[str, Offer] = {}
        self.count = 0

    def took(self, offer: Offer, contact: str) -> None:
        assert offer.agent not in {one.agent for one in [*self.offers.values(), *self.talks.values()]}
        self.offers[contact] = offer

    def await_offer(self, contact: str) -> None:
        self.places[contact].offer().addCallback(self.took, contact)

    @rule(queue=st.sampled_from(["sales", "support"]))
    def arrives(self, queue: str) -> None:
        self.count += 1
        contact = f"c{self.count:03}"
        self.places[contact] = self.distributor.enter(item(contact, self.clock.seconds(), queue))
        self.await_offer(contact)

    @precondition(lambda self: self.offers)
    @rule(
        data=st.data(),
        outcome=st.sampled_from([o for o in OfferOutcome if o is not OfferOutcome.ANSWERED]),
        rings=st.booleans(),
    )
    def offer_fails(self, data: Any, outcome: OfferOutcome, rings: bool) -> None:
        contact = data.draw(st.sampled_from(sorted(self.offers)))
        offer = self.offers.pop(contact)
        if rings:
            offer.rings()
        offer.ended(outcome)
        if outcome is OfferOutcome.CALLER_LEFT:
            self.places.pop(contact).leave()
        else:
            self.await_offer(contact)

    @precondition(lambda self: self.offers)
    @rule(data=st.data())
    def agent_answers(self, data: Any) -> None:
        contact = data.draw(st.sampled_from(sorted(self.offers)))
        offer = self.talks[contact] = self.offers.pop(contact)
        offer.talks(self.places.pop(contact).item.queue)

    @precondition(lambda self: self.talks)
    @rule(data=st.data(), seconds=st.sampled_from([0.0, 5.0]))
    def they_part(self, data: Any, seconds: float) -> None:
        self.talks.pop(data.draw(st.sampled_from(sorted(self.talks)))).parted(WrapUpRules(seconds))

    @precondition(lambda self: self.places)
    @rule(data=st.data())
    def caller_leaves_while_waiting(self, data: Any) -> None:
        waiting = sorted(set(self.places) - set(self.offers))
        if waiting:
            self.places.pop(data.draw(st.sampled_from(waiting))).leave()

    @rule(agent=st.sampled_from(["ana", "bo", "chen"]), ask=st.sampled_from(["log_in", "log_out", "ready", "not_ready"]))
    def agent_asks(self, agent: str, ask: str) -> None:
        try:
            if ask == "log_in":
                self.distributor.staff.log_in(agent, "2001")
            elif ask == "log_out":
                self.distributor.staff.log_out(agent)
            else:
                self.distributor.staff.set_state(agent, AgentState(ask))
        except NotNow:
            pass

    @rule(seconds=st.sampled_from([0.5, 3.0, 31.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(frozen=st.booleans())
    def link(self, frozen: bool) -> None:
        self.frozen = frozen
        (self.distributor.freeze if frozen else self.distributor.thaw)("main")

    @invariant()
    def busy_agents_are_held_by_exactly_one_contact(self) -> None:
        held = {offer.agent for offer in [*self.offers.values(), *self.talks.values()]}
        assert held == {agent.id for agent in self.distributor.staff.agents.values() if agent.state in BUSY}

    @invariant()
    def every_waiting_contact_has_its_place_in_order(self) -> None:
        for queue in QUEUES:
            line = self.distributor.waiting(queue)
            assert [one.contact for one in line] == sorted(one.contact for one in line)
        assert {one.contact for queue in QUEUES for one in self.distributor.waiting(queue)} == set(self.places)

    @invariant()
    def no_possible_pair_is_left(self) -> None:
        if self.frozen:
            return
        now = self.clock.seconds()
        room = self.distributor.room
        for queue in QUEUES:
            for one in self.distributor.waiting(queue):
                if one.contact in self.offers:
                    continue
                for agent in self.distributor.staff.agents.values():
                    if agent.state is AgentState.READY and queue in agent.queues:
                        assert (room.items[one.contact].refused or {}).get(agent.id, now) > now

    def teardown(self) -> None:
        self.distributor.stop()
        assert self.clock.getDelayedCalls() == []


TestWaitingRoom = WaitingRoom.TestCase


class TestAnybodyOfAQueue:
    def test_whoever_of_a_queue_is_free_longest(self) -> None:
        distributor, clock, _ = room(*(Agent(name, name, ("sales",), ("sales",), name) for name in ("ana", "bo")))
        for name in ("bo", "ana"):
            distributor.staff.log_in(name)
            distributor.staff.set_state(name, AgentState.READY)
            clock.advance(1)
        assert [distributor.reserve_one_of("sales", "c1", 1).agent for _ in range(2)] == ["bo", "ana"]
        with pytest.raises(NotNow, match="nobody is free in sales"):
            distributor.reserve_one_of("sales", "c1", 1)
