"""A world of contacts in virtual time, real but for their legs, and what must hold when everybody has gone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from easycall.acd.agent import BUSY
from easycall.acd.distributor import Distributor
from easycall.acd.last_agents import LastAgents
from easycall.acd.redials import Redials
from easycall.acd.staff import Staff
from easycall.acd.waits import Waits
from easycall.config import StrategySettings
from easycall.contacts import Contacts
from easycall.defer import start
from easycall.events import (
    AgentChanged,
    Answered,
    ContactArrived,
    ContactEnded,
    Event,
    Offered,
    OfferEnded,
    Queued,
    ScreenPop,
    ScreenPopRevoked,
    TalkEnded,
    WrapUpEnded,
)
from easycall.ivr.nodes import Choice, Flow, HangUpNode, MenuNode, QueueNode, SayNode
from easycall.ivr.prompt import parse_prompt
from easycall.ivr.script import Script
from easycall.joining import Joining
from easycall.model import Agent, AgentState, Contact, OfferOutcome, Outcome, Queue
from easycall.ports import Arrival
from easycall.stats.record import fold

from .clocks import clock_at, next_turn
from .fakes_journal import Notes
from .fakes_ports import FakeChannel, FakeSwitch, no_dialling

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
        self.waits = Waits(self.distributor, self.distributor.staff.agents, self.clock.seconds, self.notes.record)
        self.notes.listeners.append(lambda event: self.waits.take(0, event))
        shared = self.clock, self.notes, self.distributor, script, lambda: next(ids), no_dialling()
        self.last_agents = LastAgents(None, str, self.clock)
        self.notes.listeners.append(lambda event: self.last_agents.take(0, event))
        self.redials = Redials(str, self.distributor.queues)
        self.notes.subscribe(self.redials.take)
        self.contacts = Contacts(*shared, waits=self.waits, joining=Joining(str, self.last_agents, self.redials))
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
    """One beginning, one end, and what is between adds up; the agent's wrap-up may take longer."""
    events = [event for event in events if not isinstance(event, WrapUpEnded)]
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


def is_the_worlds(func: Any) -> bool:
    """True for what a caller or a phone will do, not the daemon."""
    return func.__qualname__ == "Deferred.callback" or any(one in func.__qualname__ for one in ("Fake", "Toy", "Day"))
