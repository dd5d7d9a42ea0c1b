"""One contact as one story: told in full, and ended at every place where somebody can leave."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from easycall.acd.agent import BUSY, NotNow
from easycall.acd.distributor import Distributor
from easycall.acd.last_agents import LastAgents
from easycall.acd.staff import REFUSED_SECONDS, Staff
from easycall.acd.waits import Waits
from easycall.asterisk.link import ActionRefused
from easycall.asterisk.switch import AsteriskSwitch
from easycall.config import StrategySettings
from easycall.contacts import Contacts
from easycall.defer import start
from easycall.events import (
    AgentChanged,
    Answered,
    ContactArrived,
    ContactEnded,
    Corrected,
    Event,
    Offered,
    OfferEnded,
    Queued,
    ScreenPop,
    ScreenPopRevoked,
    TalkEnded,
)
from easycall.ivr.flow import Choice, Flow, HangUpNode, MenuNode, QueueNode, SayNode, parse_prompt
from easycall.ivr.script import Script
from easycall.joining import Joining
from easycall.model import Agent, AgentState, Contact, EndedBy, OfferOutcome, Outcome, Queue, Stage
from easycall.ports import Arrival
from easycall.stats.record import fold
from easycall.visit import GONE_SECONDS

from .fakes import (
    WAITS,
    FakeChannel,
    FakePbx,
    FakeSwitch,
    Logged,
    Notes,
    ToyAsterisk,
    clock_at,
    event,
    names,
    next_turn,
    no_dialling,
)

FLOWS = {
    "95588": Flow(
        "welcome",
        "hello",
        {
            "hello": SayNode((parse_prompt("sound:hello"),), "menu"),
            "menu": MenuNode((parse_prompt("sound:menu"),), {"1": Choice("sales", "sales")}, otherwise="bye", timeout=4.0),
            "sales": QueueNode("sales"),
            "bye": HangUpNode(),
        },
    ),
    "sales": Flow("sales", "sales", {"sales": QueueNode("sales")}),
    "support": Flow("support", "support", {"support": QueueNode("support")}),
    "bye": Flow("bye", "bye", {"bye": SayNode((parse_prompt("sound:bye"),), "end"), "end": HangUpNode()}),
    "nowhere": Flow("nowhere", "nowhere", {"nowhere": QueueNode("nowhere")}),
    "broken": Flow("broken", "broken", {"broken": SayNode((), "missing")}),
}

Phone = Callable[["World", FakeChannel], None]
"""What a phone does that is rung."""


def answers(rings: float = 0.1, after: float = 2.0) -> Phone:
    def phone(world: World, leg: FakeChannel) -> None:
        world.clock.callLater(rings, leg.rings)
        world.clock.callLater(after, leg.comes_home)

    return phone


def refuses(outcome: OfferOutcome, after: float, rings: float | None = 0.1) -> Phone:
    def phone(world: World, leg: FakeChannel) -> None:
        if rings is not None:
            world.clock.callLater(rings, leg.rings)
        world.clock.callLater(after, leg.refuses, outcome)

    return phone


class World:
    """A real waiting room and real contacts between fake legs, in virtual time."""

    def __init__(
        self,
        agents: Mapping[str, tuple[str, ...]] | None = None,
        strategies: Mapping[str, StrategySettings] = {},
        **queue: Any,
    ) -> None:
        self.clock = clock_at()
        self.notes = Notes()
        self.switch = FakeSwitch(self.clock, self._rung)
        self.phones: dict[str, Phone] = {}
        self.usual: Phone = answers()
        queues = {name: Queue(name, name.title(), **{"wrap_up_seconds": 5.0, **queue}) for name in ("sales", "support")}
        staff = [Agent(name, name.title(), served, served, name) for name, served in (agents or {}).items()]
        people = Staff(staff, queues, self.clock, self.notes)
        self.distributor = Distributor(queues, people, self.clock, self.notes, strategies)
        ids = iter(f"k{number:03}" for number in range(1000))
        script = Script(FLOWS, str, lambda prompt, language: [prompt.sound or prompt.spoken(language, "en")[1]])
        self.waits = Waits(self.distributor, self.distributor.staff.agents, self.clock.seconds)
        self.notes.listeners.append(lambda event: self.waits.take(0, event))
        shared = self.clock, self.notes, self.distributor, script, lambda: next(ids), no_dialling()
        self.last_agents = LastAgents(None, str, self.clock)
        self.notes.listeners.append(lambda event: self.last_agents.take(0, event))
        self.contacts = Contacts(*shared, waits=self.waits, joining=Joining(str, self.last_agents))
        for agent in staff:
            self.distributor.staff.log_in(agent.id)
            self.distributor.staff.set_state(agent.id, AgentState.READY)
        self.begun = len(self.notes.events)

    def _rung(self, leg: FakeChannel) -> None:
        self.phones.get(leg.phone, self.usual)(self, leg)

    def caller(self, dialled: str = "sales", leg: str = "c1", **keys: Any) -> FakeChannel:
        """A caller comes in."""
        channel = self.switch.leg(leg)
        channel.keys = list(keys.get("keys", ()))
        self.contacts.arrive(Arrival(self.switch, channel, keys.get("number", "+4930"), "Carl", dialled))
        return channel

    @property
    def contact(self) -> Contact:
        """The one live contact."""
        [contact] = self.contacts.live.values()
        return contact

    @property
    def told(self) -> list[Event]:
        """What was told since the agents are ready."""
        return self.notes.events[self.begun :]

    def until(self, condition: Callable[[], Any], turns: int = 500) -> None:
        """Let time pass until something holds."""
        while not condition():
            assert turns, f"it does not come to that; told: {self.notes.kinds}"
            turns -= 1
            next_turn(self.clock)

    def run(self, turns: int = 2000) -> None:
        """Let time pass until nothing happens any more."""
        self.until(lambda: not self.clock.getDelayedCalls(), turns)

    def has(self, kind: type[Event]) -> Callable[[], bool]:
        return lambda: bool(self.notes.of(kind))

    def stop(self) -> None:
        """As ``tap.join`` stops the parts."""
        self.distributor.stop()
        self.switch.let_go = True
        stopped: list[Any] = []
        start(self.contacts.stop()).addBoth(stopped.append)
        assert stopped == [None]


def words(events: list[Event]) -> list[str]:
    """Events in short."""
    return [f"{one.agent} {one.state.value}" if isinstance(one, AgentChanged) else one.kind for one in events]


# What must hold when everybody has gone


def check(world: World) -> None:
    """reliability §2.0: I2, I4, I6, and that nobody is left anywhere."""
    assert world.contacts.live == {}
    assert not world.clock.getDelayedCalls()
    assert [leg for leg in world.switch.legs if not leg.gone] == []
    for queue in world.distributor.queues:
        assert world.distributor.waiting(queue) == []
    for agent in world.distributor.staff.agents.values():
        assert agent.state not in (*BUSY, AgentState.WRAP_UP), agent
        assert agent.contact == "", agent
    per_contact: dict[str, list[Event]] = {}
    for one in world.notes.events:
        if one.contact and not isinstance(one, AgentChanged):
            per_contact.setdefault(one.contact, []).append(one)
    for contact, events in per_contact.items():
        check_contact(contact, events)
    for agent in world.distributor.staff.agents:
        check_agent([one for one in world.notes.events if one.agent == agent])


def check_contact(contact: str, events: list[Event]) -> None:
    """One beginning, one end, and what is between adds up."""
    counts = Counter(type(one) for one in events)
    assert (counts[ContactArrived], counts[ContactEnded]) == (1, 1), words(events)
    assert isinstance(events[0], ContactArrived)
    assert isinstance(events[-1], ContactEnded)
    assert [one.at for one in events] == sorted(one.at for one in events)
    offers = [(one.agent, one.attempt) for one in events if isinstance(one, Offered)]
    ends = {(one.agent, one.attempt): one.outcome for one in events if isinstance(one, OfferEnded)}
    assert offers == list(ends), words(events)
    assert [attempt for _, attempt in offers] == list(range(1, len(offers) + 1))
    answered = [one for one, outcome in ends.items() if outcome is OfferOutcome.ANSWERED]
    assert counts[Answered] == counts[TalkEnded] == len(answered) <= 1, words(events)
    popped = {(one.agent, one.attempt) for one in events if isinstance(one, ScreenPop)}
    revoked = {(one.agent, one.attempt) for one in events if isinstance(one, ScreenPopRevoked)}
    assert revoked == popped - set(answered), words(events)
    end = events[-1]
    if end.outcome is not Outcome.FAILED:
        queued = Outcome.ABANDONED if counts[Queued] else None
        assert end.outcome in ([Outcome.ANSWERED] if answered else [queued] if queued else list(Outcome)[2:4]), words(events)
    record = fold(contact, events)
    assert record is not None
    assert record.ended is not None
    assert sum(part.seconds for part in record.segments) == pytest.approx(record.ended - record.arrived, abs=1e-5)
    for one, following in zip(record.segments, record.segments[1:], strict=False):
        assert one.ended == following.started


def check_agent(events: list[Event]) -> None:
    """An agent is with one contact at a time, through the states in their order."""
    busy_with, state = "", AgentState.OFFLINE
    for one in events:
        if isinstance(one, AgentChanged):
            assert not (state in BUSY and one.state in BUSY and one.contact != busy_with), "reserved for two"
            if one.state is AgentState.WRAP_UP:
                assert state is AgentState.TALKING, "wraps up what was no talk"
            state, busy_with = one.state, one.contact
        elif isinstance(one, Offered | Answered):
            assert one.contact == busy_with, "offered to somebody who was not reserved"


class TestOneCall:
    def test_the_happy_path_in_full(self) -> None:
        world = World({"ana": ("sales",)}, busy_prompt="sound:busy")
        caller = world.caller("95588", keys=["1"])
        world.until(world.has(Answered))
        assert (world.contact.stage, world.contact.agent, world.contact.queue) == (Stage.TALKING, "ana", "sales")
        world.clock.advance(30)
        world.switch.legs[-1].dies()
        world.run()
        assert words(world.told) == [
            "contact.arrived",
            "ivr.step",
            "ivr.step",
            "ivr.answered",
            "ivr.step",
            "queue.entered",
            "ana reserved",
            "offer.made",
            "ana ringing",
            "screen.pop",
            "offer.ended",
            "ana talking",
            "talk.started",
            "talk.ended",
            "ana wrap_up",
            "contact.ended",
            "ana ready",
        ]
        [end] = world.notes.of(ContactEnded)
        assert (end.outcome, end.ended_by) == (Outcome.ANSWERED, EndedBy.AGENT)
        [pop] = world.notes.of(ScreenPop)
        assert (pop.caller, pop.dialled, pop.queue, pop.answers) == ("+4930", "95588", "sales", {"menu": "sales"})
        assert pop.waited == pytest.approx(0.1, abs=0.01)
        assert caller.heard[:2] == [("remember", {"EC_CONTACT": "k000", "EC_ROLE": "caller"}), ("answer",)]
        [rung] = world.switch.rung
        assert (rung["phone"], rung["leg"], rung["caller"], rung["seconds"]) == ("ana", "ec-k000-agent-1", "+4930", 20.0)
        assert rung["values"] == {"EC_CONTACT": "k000", "EC_ROLE": "agent", "EC_AG": "ana"}
        check(world)

    def test_what_a_caller_chose_stays_with_the_contact_in_the_queue(self) -> None:
        world = World()
        caller = world.caller("95588", keys=["1"])
        world.until(world.has(Queued))
        assert (world.contact.answers, world.contact.stage) == ({"menu": "sales"}, Stage.WAITING)
        caller.dies()
        world.run()

    def test_a_flow_that_ends_by_itself(self) -> None:
        world = World()
        caller = world.caller("bye")
        world.run()
        [end] = world.notes.of(ContactEnded)
        assert (end.outcome, end.ended_by, caller.doomed) == (Outcome.SELF_SERVED, EndedBy.FLOW, True)
        check(world)

    def test_the_caller_is_gone_before_we_know_of_the_call(self) -> None:
        world = World()
        leg = world.switch.leg("c1")
        leg.dies()
        world.contacts.arrive(Arrival(world.switch, leg, "", "", "sales"))
        world.run()
        [end] = world.notes.of(ContactEnded)
        assert (end.outcome, end.ended_by) == (Outcome.ABANDONED_IN_IVR, EndedBy.CALLER)
        check(world)

    def test_the_agent_is_waited_for_with_music_while_the_link_is_down(self) -> None:
        """reliability F06."""
        world = World({"ana": ("sales",)})
        caller = world.caller()
        world.until(world.has(ScreenPop))
        world.switch.goes_down()
        world.clock.advance(3)
        leg = world.switch.legs[-1]
        assert leg.heard == [("music", "default")]
        assert not world.has(Answered)()
        world.switch.comes_up()
        world.until(world.has(Answered))
        caller.dies()
        world.run()
        check(world)


class TestAgentsWhoDoNotAnswer:
    @pytest.mark.parametrize(
        ("outcome", "state", "reason"),
        [
            (OfferOutcome.NO_ANSWER, AgentState.NOT_READY, "missed"),
            (OfferOutcome.UNREACHABLE, AgentState.NOT_READY, "unreachable"),
            (OfferOutcome.DECLINED, AgentState.READY, ""),
            (OfferOutcome.LOST, AgentState.READY, ""),
        ],
    )
    def test_the_next_agent_gets_the_caller(self, outcome: OfferOutcome, state: AgentState, reason: str) -> None:
        """reliability F51, F53, F54."""
        world = World({"ana": ("sales",), "bo": ("sales",)})
        world.phones["ana"] = refuses(outcome, 1.0)
        caller = world.caller()
        world.until(world.has(Answered))
        ana = world.distributor.staff.agents["ana"]
        assert (ana.state, ana.reason) == (state, reason)
        assert [(one.agent, one.attempt, one.outcome) for one in world.notes.of(OfferEnded)] == [
            ("ana", 1, outcome),
            ("bo", 2, OfferOutcome.ANSWERED),
        ]
        [revoked] = world.notes.of(ScreenPopRevoked)
        assert (revoked.agent, revoked.attempt, revoked.outcome) == ("ana", 1, outcome)
        assert names(world.switch.hung_up) == []
        caller.dies()
        world.run()
        check(world)

    def test_without_ringing_there_is_no_pop_to_revoke(self) -> None:
        world = World({"ana": ("sales",)})
        world.phones["ana"] = refuses(OfferOutcome.UNREACHABLE, 0.2, rings=None)
        caller = world.caller()
        world.until(world.has(OfferEnded))
        assert not world.has(ScreenPop)()
        assert not world.has(ScreenPopRevoked)()
        caller.dies()
        world.run()
        check(world)

    def test_the_caller_keeps_the_place_in_front_of_later_ones(self) -> None:
        world = World({"ana": ("sales",)})
        world.phones["ana"] = refuses(OfferOutcome.LOST, 1.0)
        early = world.caller(leg="c1")
        world.until(world.has(Offered))
        late = world.caller(leg="c2")
        world.until(world.has(OfferEnded))
        world.phones.clear()
        world.until(world.has(Answered))
        assert [one.contact for one in world.notes.of(Queued)] == ["k000", "k001"]
        assert [item.contact for item in world.distributor.waiting("sales")] in (["k000"], ["k001"])
        for leg in (early, late):
            leg.dies()
        world.run()
        check(world)

    def test_a_bridge_that_fails_gives_both_back(self) -> None:
        world = World({"ana": ("sales",)})
        world.switch.refuse_bridges = 1
        caller = world.caller()
        world.until(world.has(Answered))
        assert [one.outcome for one in world.notes.of(OfferEnded)] == [OfferOutcome.LOST, OfferOutcome.ANSWERED]
        assert world.switch.legs[1].gone, "the leg of the first offer"
        caller.dies()
        world.run()
        check(world)

    def test_a_phone_that_must_not_be_dialled(self) -> None:
        """The agent is told, and not kept reserved for ever; the caller waits on."""
        world = World({"ana": ("sales",), "bo": ("sales",)})
        world.switch.bad_phones.add("ana")
        caller = world.caller()
        with Logged() as failures:
            world.until(world.has(Answered))
        ana = world.distributor.staff.agents["ana"]
        assert (ana.state, ana.reason, failures) == (AgentState.NOT_READY, "unreachable", [])
        caller.dies()
        world.run()
        check(world)

    def test_the_agents_leg_is_taken_and_given_back_while_the_link_is_down(self) -> None:
        world = World({"ana": ("sales",)})
        caller = world.caller()
        world.until(world.has(ScreenPop))
        leg = world.switch.legs[-1]
        world.switch.goes_down()
        world.until(lambda: leg.heard)
        leg.is_taken()
        leg.comes_home()
        world.switch.comes_up()
        world.until(world.has(Answered))
        assert [one.outcome for one in world.notes.of(OfferEnded)] == [OfferOutcome.ANSWERED]
        caller.dies()
        world.run()
        check(world)


class TestComingAndGoing:
    """A leg may leave home alive and come back at any moment: a session lost, a redirect of somebody else's."""

    def steps(self) -> Iterator[int]:
        world = World({"ana": ("sales",)}, busy_prompt="sound:busy")
        caller = world.caller("95588", keys=["1"])
        steps = 0
        while not world.has(Answered)():
            next_turn(world.clock)
            steps += 1
        caller.dies()
        world.run()
        yield from range(steps)

    def test_the_callers_leg_is_away_for_a_moment_at_every_step(self) -> None:
        for step in self.steps():
            world = World({"ana": ("sales",)}, busy_prompt="sound:busy")
            caller = world.caller("95588", keys=["1"] * 3)
            for _ in range(step):
                next_turn(world.clock)
            caller.is_taken()
            world.clock.callLater(0.01, caller.comes_home)
            world.until(world.has(Answered))
            caller.dies()
            world.run()
            check(world)
            [end] = world.notes.of(ContactEnded)
            assert end.outcome is Outcome.ANSWERED, step


class TestCompany:
    def heard(self, world: World, seconds: float) -> list[tuple[float, Any]]:
        """What a waiting caller hears, and when."""
        caller = world.caller()
        world.until(world.has(Queued))
        begun, heard, known = world.clock.seconds(), [], 0
        while world.clock.seconds() < begun + seconds:
            for what in caller.heard[known:]:
                if what[0] in ("play", "music"):
                    heard.append((round(world.clock.seconds() - begun), what[1]))
            known = len(caller.heard)
            next_turn(world.clock)
        caller.dies()
        world.run()
        check(world)
        return heard

    def test_the_busy_prompt_and_music_in_turns(self) -> None:
        world = World(busy_prompt="sound:busy", busy_repeat_seconds=30.0)
        heard = self.heard(world, 70)
        assert [at for at, what in heard if what == "busy"] == [0, 32, 64]
        assert [at for at, what in heard if what == "default"] == [2, 34, 66]

    @pytest.mark.parametrize(("every", "times"), [(20.0, 4), (50.0, 2), (7.0, 10), (0.0, 1)])
    def test_how_often_the_busy_prompt_is_repeated(self, every: float, times: int) -> None:
        world = World(busy_prompt="sound:busy", busy_repeat_seconds=every)
        plays = [at for at, what in self.heard(world, 87) if what == "busy"]
        assert plays == [round(turn * (every + 2)) for turn in range(times)]

    def test_without_a_prompt_there_is_music_at_once(self) -> None:
        assert self.heard(World(), 25)[0] == (0, "default")

    def test_keys_do_not_bring_the_prompt_any_sooner(self) -> None:
        world = World(busy_prompt="sound:busy", busy_repeat_seconds=30.0)
        caller = world.caller(keys=["1"] * 20)
        world.until(world.has(Queued))
        world.clock.pump([0.1] * 150)
        assert [what for what in caller.heard if what[0] == "play"] == [("play", "busy")]
        caller.dies()
        world.run()
        check(world)

    def test_nobody_is_told_that_all_are_busy_while_a_phone_rings(self) -> None:
        world = World({"ana": ("sales",)}, busy_prompt="sound:busy")
        caller = world.caller()
        world.until(world.has(Answered))
        assert ("play", "busy") not in caller.heard
        assert ("music", "default") in caller.heard
        caller.dies()
        world.run()
        check(world)

    def test_a_wait_for_a_key_is_never_longer_than_asterisk_can_be_trusted(self) -> None:
        world = World(busy_repeat_seconds=0.0)
        caller = world.caller()
        world.until(lambda: caller.heard.count(("music", "default")) and len(caller.heard) > 8)
        assert max(what[1] for what in caller.heard if what[0] == "wait") <= 25
        caller.dies()
        world.run()


class TestFailures:
    @pytest.mark.logs_failures
    @pytest.mark.parametrize("dialled", ["nowhere", "broken", "no such number"])
    def test_a_bug_does_not_leave_the_caller_in_limbo(self, dialled: str) -> None:
        world = World({"ana": ("sales",)})
        with Logged() as failures:
            caller = world.caller(dialled)
            world.run()
        [end] = world.notes.of(ContactEnded)
        assert (end.outcome, end.ended_by) == (Outcome.FAILED, EndedBy.SYSTEM)
        assert (caller.gone, len(failures)) == (True, 1)
        check(world)

    @pytest.mark.logs_failures
    def test_a_bug_in_an_offer_gives_the_agent_back(self) -> None:
        world = World({"ana": ("sales",)})

        async def bridge(*_: Any) -> None:
            raise RuntimeError("a bug")

        world.switch.bridge = bridge  # type: ignore[method-assign,assignment]
        with Logged() as failures:
            world.caller()
            world.run()
        assert world.distributor.staff.agents["ana"].state is AgentState.READY
        assert [one.outcome for one in world.notes.of(ContactEnded)] == [Outcome.FAILED]
        assert any("a bug" in one for one in failures)
        check(world)

    @pytest.mark.logs_failures
    def test_a_bug_outside_the_story_is_logged_and_the_contact_is_not_live_for_ever(self) -> None:
        world = World()

        def broken(event: Event) -> None:
            if isinstance(event, ContactEnded):
                raise RuntimeError("a bug in the journal")

        world.notes.listeners.append(broken)
        with Logged() as failures:
            world.caller("bye")
            world.run()
        assert world.contacts.live == {}
        assert any("a bug in the journal" in one for one in failures)

    def test_a_leg_that_does_not_go_is_not_waited_for_for_ever(self) -> None:
        world = World()
        caller = world.caller("bye")
        caller.deaf = True
        world.until(lambda: caller.doomed)
        assert (world.contact.stage, world.notes.of(ContactEnded)) == (Stage.IVR, [])
        world.clock.advance(GONE_SECONDS)
        assert len(world.notes.of(ContactEnded)) == 1
        assert world.contacts.live == {}
        assert not world.clock.getDelayedCalls()


class TestWhoEndedIt:
    def talk(self) -> tuple[World, FakeChannel, FakeChannel]:
        world = World({"ana": ("sales",)})
        caller = world.caller()
        world.until(world.has(Answered))
        return world, caller, world.switch.legs[-1]

    def ended_by(self, world: World) -> tuple[EndedBy, EndedBy]:
        world.run()
        check(world)
        [talk], [end] = world.notes.of(TalkEnded), world.notes.of(ContactEnded)
        return talk.ended_by, end.ended_by

    def test_the_caller(self) -> None:
        world, caller, _ = self.talk()
        caller.dies()
        assert self.ended_by(world) == (EndedBy.CALLER, EndedBy.CALLER)

    def test_the_agent(self) -> None:
        world, caller, agent = self.talk()
        agent.dies()
        assert self.ended_by(world) == (EndedBy.AGENT, EndedBy.AGENT)
        assert caller.doomed

    def test_the_agent_then_the_caller(self) -> None:
        world, caller, agent = self.talk()
        agent.dies()
        caller.dies()
        assert self.ended_by(world) == (EndedBy.AGENT, EndedBy.AGENT)

    def test_the_caller_then_the_agent(self) -> None:
        world, caller, agent = self.talk()
        caller.dies()
        agent.dies()
        assert self.ended_by(world) == (EndedBy.CALLER, EndedBy.CALLER)

    def test_the_agents_leg_comes_home_before_we_hear_that_the_caller_is_gone(self) -> None:
        world, caller, agent = self.talk()
        agent.comes_home()
        caller.dies()
        assert self.ended_by(world) == (EndedBy.CALLER, EndedBy.CALLER)

    def test_the_api(self) -> None:
        world, _caller, _ = self.talk()
        world.contacts.hang_up("k000")
        assert self.ended_by(world) == (EndedBy.API, EndedBy.API)

    def test_the_api_then_the_agent_while_the_hang_up_is_on_its_way(self) -> None:
        world, _caller, agent = self.talk()
        world.contacts.hang_up("k000")
        agent.dies()
        assert self.ended_by(world) == (EndedBy.API, EndedBy.API)

    def test_the_agent_then_the_api(self) -> None:
        world, _caller, agent = self.talk()
        agent.dies()
        world.contacts.hang_up("k000")
        assert self.ended_by(world) == (EndedBy.AGENT, EndedBy.AGENT)

    def test_the_api_twice_and_for_nobody(self) -> None:
        world, _caller, _ = self.talk()
        world.contacts.hang_up("k000")
        world.contacts.hang_up("k000")
        world.run()
        with pytest.raises(KeyError):
            world.contacts.hang_up("k000")
        check(world)


# Somebody leaves at every step of the story


def agents_leg(world: World) -> FakeChannel | None:
    return next((leg for leg in reversed(world.switch.legs) if leg.phone), None)


def agent_dies(world: World, caller: FakeChannel) -> None:
    if leg := agents_leg(world):
        leg.dies()


def both(world: World, caller: FakeChannel) -> None:
    caller.dies()
    agent_dies(world, caller)


def both_the_other_way(world: World, caller: FakeChannel) -> None:
    agent_dies(world, caller)
    caller.dies()


def api(world: World, caller: FakeChannel) -> None:
    for contact in world.contacts.live:
        world.contacts.hang_up(contact)


def api_and_caller(world: World, caller: FakeChannel) -> None:
    api(world, caller)
    caller.dies()


def bridges_fail(world: World, caller: FakeChannel) -> None:
    world.switch.refuse_bridges = 1


def link_down(world: World, caller: FakeChannel) -> None:
    world.switch.goes_down()
    world.clock.callLater(3.0, world.switch.comes_up)


def link_down_and_caller_leaves(world: World, caller: FakeChannel) -> None:
    link_down(world, caller)
    world.clock.callLater(1.0, caller.dies)


def agent_logs_out(world: World, caller: FakeChannel) -> None:
    with contextlib.suppress(NotNow):
        world.distributor.staff.log_out("ana")


Fault = Callable[[World, FakeChannel], None]
FAULTS: dict[str, Fault] = {
    "caller": lambda world, caller: caller.dies(),
    "agent": agent_dies,
    "both": both,
    "both the other way": both_the_other_way,
    "api": api,
    "api and caller": api_and_caller,
    "bridge": bridges_fail,
    "link": link_down,
    "link and caller": link_down_and_caller_leaves,
    "log out": agent_logs_out,
}


def story() -> tuple[World, FakeChannel]:
    """A call with everything in it: a menu, an agent who declines, one who answers, a talk."""
    world = World({"ana": ("sales",), "bo": ("sales",)}, busy_prompt="sound:busy")
    world.phones["bo"] = refuses(OfferOutcome.DECLINED, 1.5)
    world.distributor.staff.agents["bo"].idle_since -= 10
    world.phones["ana"] = talks_for(8.0)
    caller = world.caller("95588", keys=["1"])
    return world, caller


def talks_for(seconds: float) -> Phone:
    def phone(world: World, leg: FakeChannel) -> None:
        answers()(world, leg)
        world.clock.callLater(2.0 + seconds, leg.dies)

    return phone


def steps_of_the_story() -> int:
    world, _ = story()
    steps = 0
    while world.clock.getDelayedCalls():
        next_turn(world.clock)
        steps += 1
    check(world)
    assert [one.outcome for one in world.notes.of(ContactEnded)] == [Outcome.ANSWERED]
    return steps


@pytest.mark.parametrize("fault", FAULTS)
def test_somebody_leaves_at_every_step(fault: str) -> None:
    """reliability F56, F57, F58 and every other moment."""
    steps = steps_of_the_story()
    assert steps > 12
    for step in range(steps):
        world, caller = story()
        for _ in range(step):
            next_turn(world.clock)
        FAULTS[fault](world, caller)
        world.clock.callLater(120, caller.dies)
        world.run()
        try:
            check(world)
        except AssertionError as error:
            raise AssertionError(f"{fault} at step {step}: {words(world.told)}") from error


@pytest.mark.parametrize("other", ["caller", "agent", "api", "link"])
@pytest.mark.parametrize("fault", FAULTS)
def test_two_things_happen_at_every_two_neighbouring_steps(fault: str, other: str) -> None:
    for step in range(steps_of_the_story()):
        world, caller = story()
        for _ in range(step):
            next_turn(world.clock)
        FAULTS[fault](world, caller)
        if world.clock.getDelayedCalls():
            next_turn(world.clock)
        FAULTS[other](world, caller)
        world.clock.callLater(120, caller.dies)
        world.run()
        try:
            check(world)
        except AssertionError as error:
            raise AssertionError(f"{fault}, then {other} at step {step}: {words(world.told)}") from error


def test_the_daemon_stops_at_every_step() -> None:
    """reliability P1, F36: nothing is told any more, nobody is hung up, no timer stays."""
    for step in range(steps_of_the_story()):
        world, _caller = story()
        for _ in range(step):
            next_turn(world.clock)
        told, hung_up, alive = len(world.notes.events), len(world.switch.hung_up), [*world.switch.legs]
        alive = [leg for leg in alive if not leg.gone and not leg.doomed]
        world.stop()
        ours = [call for call in world.clock.getDelayedCalls() if not is_the_worlds(call.func)]
        assert ours == [], step
        assert len(world.switch.hung_up) == hung_up, step
        assert not any(leg.gone for leg in alive), step
        assert world.contacts.live == {}
        world.run()
        assert len(world.notes.events) == told, words(world.notes.events[told:])


def is_the_worlds(func: Any) -> bool:
    """True for what a caller or a phone will do, not the daemon."""
    return func.__qualname__ == "Deferred.callback" or any(one in func.__qualname__ for one in ("Fake", "Toy", "Day"))


# Many callers and agents at once


class Day:
    """A seeded stretch of a day: callers and agents who do what people do, at the worst moments."""

    SEEDS = 2000

    def __init__(self, seed: int) -> None:
        self.random = rnd = random.Random(seed)  # noqa: S311 - a test
        staff = {name: rnd.choice([("sales",), ("support",), ("sales", "support")]) for name in ("ana", "bo", "chen")}
        self.world = world = World(
            dict(list(staff.items())[: rnd.randint(1, 3)]),
            wrap_up_seconds=rnd.choice([0.0, 0.5, 3.0]),
            ring_seconds=4.0,
            busy_prompt=rnd.choice(["", "sound:busy"]),
        )
        self.refused: dict[tuple[str, str], float] = {}
        world.notes.listeners.append(self._fair)
        troubles = [self._state, self._state, self._api, *self.set_up(world)]
        for number in range(rnd.randint(1, 5)):
            world.clock.callLater(self._moment(), self._caller, number)
        for _ in range(rnd.randint(0, 6)):
            world.clock.callLater(self._moment(), rnd.choice(troubles))

    def set_up(self, world: World) -> list[Callable[[], None]]:
        """Everything on fake legs; what may go wrong with them."""
        rnd = self.random
        world.switch.latency = lambda: rnd.choice([0.0, 0.001, 0.01, 0.3])
        world.usual = lambda world, leg: self.phone(leg)
        return [self._link, self._bridge]

    def dial(self, leg: str, dialled: str) -> Any:
        return self.world.caller(dialled, leg, keys=["1"])

    def _moment(self, last: float = 12.0) -> float:
        """Moments that often fall together."""
        return self.random.choice([self.random.uniform(0, last), float(self.random.randint(0, int(last)))])

    def _caller(self, number: int) -> None:
        rnd = self.random
        caller = self.dial(f"c{number}", rnd.choice(["sales", "support", "sales", "95588"]))
        if rnd.random() < 0.7:
            self.world.clock.callLater(self._moment(15.0), caller.dies)
        self.world.clock.callLater(300, caller.dies)

    def phone(self, leg: Any) -> None:
        """What a phone does that is rung."""
        rnd, clock = self.random, self.world.clock
        ringing = self._moment(2.0)
        clock.callLater(ringing, leg.rings)
        end = ringing + self._moment(4.0)
        match rnd.choice(["answers", "answers", "answers", "declines", "silent", "away", "lost", "answers and dies"]):
            case "answers":
                clock.callLater(end, leg.comes_home)
                clock.callLater(end + self._moment(10.0) + 0.1, leg.dies)
            case "declines":
                clock.callLater(end, leg.refuses, OfferOutcome.DECLINED)
            case "away":
                clock.callLater(0.0, leg.refuses, OfferOutcome.UNREACHABLE)
            case "lost":
                clock.callLater(end, leg.dies)
            case "answers and dies":
                clock.callLater(end, leg.comes_home)
                clock.callLater(end + rnd.choice([0.0, 0.001, 0.3]), leg.dies)
            case _:
                clock.callLater(4.0, leg.refuses, OfferOutcome.NO_ANSWER)

    def _state(self) -> None:
        """reliability F61, F64: an agent changes state in the moment of being chosen."""
        agent = self.random.choice(list(self.world.distributor.staff.agents))
        staff = self.world.distributor.staff
        do: Any = self.random.choice(
            [
                lambda: staff.set_state(agent, AgentState.READY),
                lambda: staff.set_state(agent, AgentState.READY),
                lambda: staff.set_state(agent, AgentState.NOT_READY, "break"),
                lambda: staff.log_out(agent),
                lambda: staff.log_in(agent),
            ]
        )
        with contextlib.suppress(NotNow):
            do()

    def _api(self) -> None:
        live = list(self.world.contacts.live)
        if live:
            self.world.contacts.hang_up(self.random.choice(live))

    def _link(self) -> None:
        world, down = self.world, self.random.choice([0.0, 0.5, 2.0])
        if not world.switch.up:
            return
        world.switch.goes_down()
        world.distributor.freeze("main")
        world.clock.callLater(down, world.switch.comes_up)
        world.clock.callLater(down, world.distributor.thaw, "main")

    def _bridge(self) -> None:
        self.world.switch.refuse_bridges += 1

    def _fair(self, one: Event) -> None:
        """I9: whoever is offered has waited longest of those this agent could have had."""
        if isinstance(one, OfferEnded) and one.outcome is not OfferOutcome.ANSWERED:
            self.refused[one.contact, one.agent] = one.at + REFUSED_SECONDS.get(one.outcome, 30.0)
        if not isinstance(one, Offered):
            return
        desk = self.world.distributor
        reserved = {agent.contact for agent in desk.staff.agents.values()}
        chosen = next(item for item in desk.waiting(one.queue) if item.contact == one.contact)
        for queue in desk.staff.agents[one.agent].queues:
            for item in desk.waiting(queue):
                if item.contact not in reserved and self.refused.get((item.contact, one.agent), 0.0) <= one.at:
                    assert (chosen.enqueued, chosen.contact) < (item.enqueued, item.contact), "somebody waited longer"

    def live(self) -> None:
        """Live through it to the end, when nobody must be left."""
        self.world.run(20_000)
        check(self.world)


class DayOnAsterisk(Day):
    """The same with real call control, on a small Asterisk of which only the audio is missing."""

    SEEDS = 300
    troubles = 0.0
    """The share of events that are lost or doubled."""

    def set_up(self, world: World) -> list[Callable[[], None]]:
        rnd = self.random
        latencies = rnd.choice([[0.0], [0.001], [0.0, 0.001, 0.01], [0.0, 0.001, 0.01, 0.05]])
        self.toy = ToyAsterisk(world.clock, lambda: rnd.choice(latencies), self.phone)
        self.toy.copies = lambda: rnd.choice([0, 2, 3]) if rnd.random() < self.troubles else 1
        world.distributor.freeze("main")
        self.switch = self.toy.switch = AsteriskSwitch(
            "main",
            dial="PJSIP/{phone}",
            context="easycall",
            clock=world.clock,
            journal=world.notes,
            arrived=world.contacts.arrive,
            went_up=world.distributor.thaw,
            went_down=world.distributor.freeze,
            phone_is=world.distributor.staff.phone_is,
        )
        self.switch.use(self.toy)  # type: ignore[arg-type]
        self.toy.back()
        return [self._session_lost]

    def dial(self, leg: str, dialled: str) -> Any:
        return self.toy.dial(leg, dialled)

    def _session_lost(self) -> None:
        """A leg's session ends for no reason: it comes home again."""
        sessions = [leg.session for leg in self.toy.legs.values() if leg.session]
        if sessions:
            self.random.choice(sessions).ends()

    def live(self) -> None:
        self.last_for(400)
        assert self.toy.legs == {}, "a leg is left in Asterisk"
        assert list(self.switch.legs) == [], "a leg is left with us"
        assert self.troubles or not self.world.notes.of(Corrected), "nothing was wrong"
        self.switch.let_go()
        super().live()

    def last_for(self, seconds: float) -> None:
        over = self.world.clock.callLater(seconds, list)
        while over.active():
            next_turn(self.world.clock)


class DayWithCuts(DayOnAsterisk):
    """And the link is cut now and then."""

    troubles = 1e-9

    def set_up(self, world: World) -> list[Callable[[], None]]:
        return [*super().set_up(world), self._cut, self._cut, self._cut]

    def _cut(self) -> None:
        self.toy.cut(self.random.choice([0.3, 1.0, 3.0]))


class DayWithLosses(DayWithCuts):
    """And events are lost and doubled."""

    troubles = 0.05


class DayThatIsStopped(DayWithCuts):
    """And the daemon stops in the middle of it: nothing is told any more, nobody is hung up, no timer stays."""

    def live(self) -> None:
        world, toy, rnd = self.world, self.toy, self.random
        self.last_for(rnd.uniform(0, 15))
        world.distributor.stop()
        self.switch.let_go()
        endings = list(toy.endings)
        self.last_for(rnd.choice([0.0, 0.01]))
        toy.stop()
        self.last_for(rnd.choice([0.0, 0.01]))
        stopped: list[Any] = []
        start(world.contacts.stop()).addBoth(stopped.append)
        self.last_for(0.2)
        told = len(world.notes.events)
        assert (stopped, world.contacts.live) == ([None], {})
        assert not [call for call in world.clock.getDelayedCalls() if not is_the_worlds(call.func)]
        self.last_for(30)
        assert world.notes.events[told:] == []
        assert toy.endings == endings, "somebody was hung up"


@pytest.mark.parametrize("kind", [Day, DayOnAsterisk, DayWithCuts, DayWithLosses, DayThatIsStopped])
def test_many_callers_and_agents_at_once(kind: type[Day]) -> None:
    """I2, I4, I9 over seeded interleavings of offers, answers, refusals, leaving and changing state."""
    seen: Counter[str] = Counter()
    for seed in range(kind.SEEDS):
        day = kind(seed)
        try:
            day.live()
        except Exception as error:
            raise AssertionError(f"{kind.__name__}, seed {seed}: {words(day.world.told)}") from error
        seen.update(one.outcome.value for one in day.world.notes.of(OfferEnded))
        seen.update(one.outcome.value for one in day.world.notes.of(ContactEnded))
    assert set(seen) >= {
        *(
            one.value
            for one in OfferOutcome
            if one not in (OfferOutcome.CANCELLED, OfferOutcome.BUSY, OfferOutcome.ELSEWHERE)
        ),
        "abandoned_in_ivr",
        "abandoned",
    }, seen
    assert min(seen.values()) >= 5, seen


# On a real switch


class TestOnARealSwitch:
    """Contact, waiting room and call control together; only the two wires are fake."""

    def ring(self) -> tuple[World, FakePbx]:
        world = World({"ana": ("sales",)})
        pbx = FakePbx(world.contacts.arrive, clock=world.clock, notes=world.notes)
        pbx.caller("c1", "sales")
        pbx.manager.channels["ec-k000-agent-1"] = {}
        pbx.tells(event("Newchannel", Uniqueid="ec-k000-agent-1", ChannelStateDesc="Ringing"))
        assert len(pbx.manager.of("Originate")) == 1
        return world, pbx

    def test_a_caller_found_gone_by_a_refused_bridge_is_no_ghost_in_the_queue(self) -> None:
        """The end is found out inside the story's own call: it must end the story all the same."""
        world, pbx = self.ring()
        pbx.manager.script("Bridge", ActionRefused("no"))
        pbx.manager.script("Status", WAITS)
        del pbx.manager.channels["c1"]
        pbx.home("ec-k000-agent-1", "", "agent")
        world.clock.advance(0.2)
        pbx.manager.says()
        assert {one["Channel"] for one in pbx.manager.of("Hangup")} == {"ec-k000-agent-1"}
        pbx.ends("ec-k000-agent-1")
        world.clock.pump([1.0] * 40)
        assert len(pbx.manager.of("Originate")) == 1, "an agent is rung for a caller who is gone"
        assert [one.outcome for one in world.notes.of(ContactEnded)] == [Outcome.ABANDONED]

    def test_the_daemon_stops_in_a_talk_and_nobody_is_hung_up(self) -> None:
        world, pbx = self.ring()
        agent = pbx.home("ec-k000-agent-1", "", "agent")
        assert world.has(Answered)()
        agent.ends()
        sent, told = len(pbx.manager.actions), len(world.notes.events)
        world.distributor.stop()
        pbx.switch.let_go()
        stopped: list[Any] = []
        start(world.contacts.stop()).addBoth(stopped.append)
        assert (stopped, len(pbx.manager.actions), len(world.notes.events)) == ([None], sent, told)
        assert world.clock.getDelayedCalls() == []
