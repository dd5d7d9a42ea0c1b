"""The offer, the answer, the caller who leaves, the agent who pauses: all at the same moment, in thousands of orders.

Each race is a small call centre in virtual time on the simulated Asterisk, whose events come late, doubled and out of order;
everything in it follows from its seed.  What people do falls on a grid of few milliseconds, so that moments coincide.
``--interleavings 10000`` runs so many; a seed that fails is told and can be run again by itself (``race(1234)``).
"""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from easycall.acd.distributor import REFUSED_SECONDS, Distributor
from easycall.config import AgentSettings
from easycall.events import AgentChanged, ContactArrived, ContactEnded, Event, OfferEnded
from easycall.ivr.flow import Flow, HangUpNode, Prompt, QueueNode, SayNode
from easycall.lab.day.site import AMI_PORT, NUMBER, PBX, SECRET, Spoken, configuration
from easycall.lab.evidence import Evidence, PbxChannel, held
from easycall.lab.fairness import Fairness
from easycall.lab.invariants import lasting, violations
from easycall.lab.layout import shipped
from easycall.model import AgentState, Queue
from easycall.service import Part, nothing
from easycall.simulator.asterisk import Account, Settings, SimulatedAsterisk
from easycall.simulator.faults import Chaos
from easycall.simulator.line import FarEnd, Unreachable
from easycall.simulator.virtual import VirtualReactor
from easycall.store.contacts import ContactArchive
from easycall.store.memory import MemoryDatabase
from easycall.tap import join_conduct, make_conduct
from easycall.verbs import (
    Alternate,
    AttachData,
    Cancel,
    Complete,
    Consult,
    Hold,
    Lend,
    NotNow,
    Retrieve,
    ToAgent,
    ToFlow,
    ToQueue,
)

RIGHTS = Account(SECRET, frozenset({"system", "call", "reporting"}), frozenset({"call", "originate", "reporting"}))
DIALPLAN = (shipped() / "asterisk/extensions.conf").read_text(encoding="utf-8")
GRID = 0.004
"""What people do falls on multiples of this, so that much of it happens at one moment."""
AGENTS = ("a1", "a2", "a3")
STRAIGHT = Flow("straight", "queue", {"queue": QueueNode("sales")})
"""A flow that leads straight into the queue."""
NOTICE = Flow("notice", "say", {"say": SayNode((Prompt(sound="notice"),), "end"), "end": HangUpNode()})
"""A flow that says something, and ends."""
RING_SECONDS = 2.0


class Someone(FarEnd):
    """A caller or a phone that does what its race lets it do."""

    def __init__(self, race: Race) -> None:
        self.race = race

    def rung(self, caller: str, caller_name: str) -> None:
        race, line = self.race, self.line
        race.soon(line.ring, 0.01)
        for what, likely in ((line.answer, 0.7), (line.decline, 0.15), (line.hang_up, 0.1)):
            if race.random.random() < likely:
                race.soon(what)

    def answered(self) -> None:
        if self.race.random.random() < 0.5:
            self.race.soon(self.line.hang_up, 3.0)


class Caller(Someone):
    """Waits, and leaves when it comes to mind; ``here`` until then."""

    def answered(self) -> None:
        self.race.soon(self.leave, 4.0)

    def leave(self) -> None:
        self.race.callers.discard(self)
        self.line.hang_up()

    def ended(self, cause: int) -> None:
        self.race.callers.discard(self)


class Race:
    """One seed's call centre: three agents, up to four callers, some seconds."""

    def __init__(self, seed: int, database: MemoryDatabase) -> None:
        self.random = rnd = Random(seed)  # noqa: S311 - races, not secrets
        self.reactor = VirtualReactor(1_800_000_000.0, lambda: rnd.choice((0.0, 0.0, 0.001, GRID)))
        self.callers: set[Caller] = set()
        self.database = database
        self.fairness = Fairness(REFUSED_SECONDS)
        self.wrong: list[str] = []
        self.ended: list[str] = []
        self.arrived: list[str] = []
        self.told: list[Event] = []
        self.asked = self.carried_out = self.refusals = 0
        faults = Chaos(seed, late=rnd.choice((0.0, 0.3)), doubled=0.1, slow_originate=0.3, seconds=0.1)
        settings = Settings(AMI_PORT, {"easycall": RIGHTS}, DIALPLAN, boot_seconds=0.0, sounds=lambda name: 0.05)
        self.asterisk = SimulatedAsterisk(self.reactor, settings, self.outside, faults=faults)
        self._begin()

    def _begin(self) -> None:
        queue = Queue("sales", "Sales", ring_seconds=RING_SECONDS, wrap_up_seconds=self.random.choice((0.0, 0.5)))
        config = evolve(
            configuration(0),
            queues={"sales": queue},
            agents={name: AgentSettings(name, name, ("sales",), f"200{name[-1]}") for name in AGENTS},
            default_flow=STRAIGHT.name,
        )
        ids = map("c{:04}".format, range(1000))
        clock = network = self.reactor
        conduct = make_conduct(
            config, {STRAIGHT.name: STRAIGHT, NOTICE.name: NOTICE}, clock, network, self.database, Spoken().sounds, ids.__next__
        )
        self.joined = join_conduct(conduct, self.reactor, self.wrong.append, [Part("store", nothing, nothing)])
        self.joined.journal.subscribe(self.hear)
        self.now(self.asterisk.start())
        self.joined.daemon.startService()
        self.reactor.run_until(lambda: all(pbx.switch.up for pbx in self.joined.pbxs), within=60)

    def outside(self, dialled: str) -> FarEnd | Unreachable | None:
        return self.random.choice((Unreachable(), None)) if self.random.random() < 0.05 else Someone(self)

    def soon(self, do: Any, longest: float = RING_SECONDS + 0.2) -> None:
        """Do it at a moment of the grid."""
        moment = self.reactor.seconds() + self.random.random() ** 3 * longest
        self.reactor.callLater(max(0.0, round(moment / GRID) * GRID - self.reactor.seconds()), do)

    def hear(self, sequence: int, event: Event) -> None:
        self.told.append(event)
        if unfair := self.fairness.take(event):
            self.wrong.append(f"I9: {unfair}")
        if isinstance(event, ContactEnded):
            self.ended.append(event.contact)
        elif isinstance(event, ContactArrived):
            self.arrived.append(event.contact)
        elif isinstance(event, (AgentChanged, OfferEnded)) and self.random.random() < 0.3:
            self.soon(self.someone_changes, 0.02)  # in the middle of it
        elif event.kind.startswith(("talk.", "consult.", "loan.")) and self.random.random() < 0.6:
            self.soon(self.someone_asks, self.random.choice((0.02, 0.5)))

    def now(self, work: Any) -> Any:
        results: list[Any] = []
        Deferred.fromCoroutine(work).addBoth(results.append)
        self.reactor.run_until(lambda: results, within=60)
        if isinstance(results[0], Failure):
            results[0].raiseException()
        return results[0]

    # What people do

    def someone_calls(self) -> None:
        caller = Caller(self)
        self.callers.add(caller)
        self.asterisk.call_in(NUMBER, "+4930", "", caller)

    def someone_changes(self) -> None:
        """An agent pauses, comes back, or leaves."""
        desk: Distributor = self.joined.distributor
        agent = self.random.choice(AGENTS)
        try:
            match self.random.random():
                case chance if chance < 0.1:
                    desk.log_out(agent)
                case chance if chance < 0.45:
                    desk.set_state(agent, AgentState.NOT_READY, "pause")
                case _:
                    if desk.agents[agent].state is AgentState.OFFLINE:
                        desk.log_in(agent)
                    desk.set_state(agent, AgentState.READY)
        except NotNow:
            return

    def someone_asks(self) -> None:
        """A verb of call control about somebody's call, sensible or not; each must be answered in the end."""
        live = list(self.joined.contacts.live)
        if not live:
            return
        agent = self.random.choice(AGENTS)
        verb = self.random.choice(
            (Hold(), Retrieve(), Consult(agent), Consult(agent), Alternate(), Complete(), Cancel(), ToAgent(agent))
            + (ToQueue("sales"), ToQueue("sales", wait=False), ToFlow(NOTICE.name), Lend(NOTICE.name), AttachData({"a": "b"}))
        )
        self.asked += 1
        self.joined.contacts.ask(self.random.choice(live), verb).addCallbacks(self.done, self.refused)

    def done(self, facts: Any) -> None:
        self.carried_out += 1
        self.soon(self.someone_asks, 0.3)

    def refused(self, failure: Failure) -> None:
        failure.trap(NotNow)
        self.refusals += 1

    def live(self) -> list[str]:
        """The whole race; everything that does not hold."""
        for agent in AGENTS:
            self.joined.distributor.log_in(agent)
            self.joined.distributor.set_state(agent, AgentState.READY)
        for _ in range(self.random.randint(1, 4)):
            self.soon(self.someone_calls, 1.0)
        for _ in range(self.random.randint(0, 4)):
            self.soon(self.someone_changes, 4.0)
        if self.random.random() < 0.2:
            self.soon(self.asterisk.cut_ami, 4.0)
        for _ in range(self.random.choice((0, 2, 6))):
            self.soon(self.someone_asks, 4.0)
        for _ in range(3):
            self.reactor.advance(self.random.random() * 2.0)
            self.look()
        self.end()
        return self.wrong

    def look(self) -> None:
        found = violations(self.seen())
        if found:
            self.reactor.advance(1.0)
            self.wrong += lasting(found, violations(self.seen()))

    def seen(self) -> Evidence:
        core = self.asterisk.core
        return Evidence(
            channels=tuple(shown(channel) for channel in core.channels.values()),
            held=held(self.joined),
            callers=frozenset(caller.line.id for caller in self.callers),
        )

    def end(self) -> None:
        """Everybody hangs up; then nothing is left, and each contact has its record."""
        for caller in list(self.callers):
            caller.leave()
        for channel in list(self.asterisk.core.channels.values()):
            channel.hang_up()
        self.reactor.advance(40.0)
        self.look()
        pbx = self.joined.pbxs[0]
        left = {
            "channels": len(self.asterisk.core.channels),
            "legs": len(pbx.switch.legs),
            "sessions": len(pbx.fastagi.sessions) + len(self.asterisk.sessions),
            "contacts": len(self.joined.contacts.live),
            "contacts without an end": len(set(self.arrived) - set(self.ended)),
            "verbs without an answer": self.asked - self.carried_out - self.refusals,
            "busy agents": sum(bool(agent.contact) for agent in self.joined.distributor.agents.values()),
        }
        self.now(self.joined.journal.flush())
        archive = ContactArchive(self.database)
        records = [self.now(archive.record(contact)) for contact in dict.fromkeys(self.ended)]
        told = Evidence(ended=tuple(self.ended), records=tuple(filter(None, records)), left=left)
        self.wrong += violations(told)
        self.now(self.joined.daemon.stopService())
        self.now(self.asterisk.stop())
        self.reactor.advance(1.0)
        self.wrong += violations(Evidence(left={"timers": len([c for c in self.reactor.getDelayedCalls() if c.active()])}))
        self.now(self.database.clear())


def shown(channel: Any) -> PbxChannel:
    """A channel as AMI would show it."""
    return PbxChannel(
        pbx=PBX,
        id=channel.id,
        up=channel.up,
        bridge=channel.bridge.id if channel.bridge is not None else "",
        application=channel.application,
        contact=channel.variables.get("EC_CONTACT", ""),
        role=channel.variables.get("EC_ROLE", ""),
        agent=channel.variables.get("EC_AG", ""),
    )


def race(seed: int, database: MemoryDatabase) -> Race:
    """One race, run."""
    one = Race(seed, database)
    one.live()
    return one


@pytest.fixture
def database() -> Any:
    database = MemoryDatabase()
    Deferred.fromCoroutine(database.open())
    yield database
    Deferred.fromCoroutine(database.close())


def test_nothing_is_ever_violated(pytestconfig: pytest.Config, database: MemoryDatabase) -> None:
    """I1 to I9 at random moments of every race and at its end; and the races are worth it: everything happened in them."""
    outcomes: set[str] = set()
    for seed in range(pytestconfig.getoption("--interleavings")):
        one = race(seed, database)
        assert not one.wrong, f"seed {seed}: {one.wrong}\n" + "\n".join(map(str, one.told))
        outcomes.update(event.outcome.value for event in one.told if isinstance(event, OfferEnded))
    assert outcomes == {"answered", "no_answer", "declined", "unreachable", "caller_left", "lost"}
