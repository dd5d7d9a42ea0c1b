"""Random days in a small contact centre, told to the waiting room and to the oracle alike."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from attrs import evolve

from easycall.acd.ranking import WIDTH
from easycall.acd.waiting_room import Pair, WaitingRoom
from easycall.acd.why import Counts, counts, line_of
from easycall.policy import AgentOrder, Capacity, Channel, Profile, QueuePolicy, Ring, WorkItem
from easycall.skills import ANYBODY, parse
from tests.acd_oracle import Oracle

SKILLS = ("billing", "lang:zh", "vip", "tech")
EXPRESSIONS = (
    "",
    "",
    "",
    "billing",
    "billing >= 3",
    "lang:zh",
    "billing >= 2 and lang:zh",
    "vip or tech >= 2",
    "not vip",
    "tech >= 3",
)
QUEUES = ("sales", "support", "chat")
PBXS = ("main", "other")
AGENTS = tuple("abcdefghij")
CAPACITIES = (
    Capacity(),
    Capacity({Channel.CALL: 1, Channel.CHAT: 3, Channel.MESSAGE: 2}),
    Capacity({Channel.CALL: 1, Channel.CHAT: 2}, {Channel.CHAT: {Channel.CALL, Channel.CHAT}, Channel.CALL: {Channel.CHAT}}),
)


class Stream:
    """One random stream; :meth:`run` raises AssertionError at the first decision that differs."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311 - a test
        self.now = 1000.0
        self.room, self.oracle = WaitingRoom(remembered=50), Oracle()
        self.decisions = self.reassigned = 0
        self.contacts = 0
        self.rung_at_once = 0
        at_once = seed % 2 == 0  # whoever rings several leaves nobody idle to whom anything could be reassigned
        self.steps: dict[Callable[[], None], int] = {
            self.arrival: 16,
            self.free: 12,
            self.finish: 10,
            self.connected: 9,
            self.abandon: 2,
            self.refuse: 5,
            self.ring_more: 13 if at_once else 1,
            self.one_answers: 2,
            self.reassign: 1 if at_once else 13,
            self.away: 2,
            self.change_agent: 3,
            self.log_out: 1,
            self.own_wish: 1,
            self.priority: 1,
            self.requirement: 2,
            self.change_queue: 1,
            self.suspend: 1,
            self.resume: 2,
            self.pass_time: 6,
        }
        for queue in QUEUES:
            self.set_queue(queue)
        for agent in AGENTS[: self.random.randint(2, 10)]:
            self.seat(agent)
            if self.random.random() < 0.7:
                self.decided(self.room.ready(agent, self.now), lambda agent=agent: self.oracle.ready(agent, self.now))

    def run(self, steps: int) -> None:
        """So many steps, and then everybody goes and nothing may be left."""
        for step in self.random.choices(list(self.steps), list(self.steps.values()), k=steps):
            self.now += self.random.choice((0.0, 0.0, 0.5, 0.5, 1.0, 3.0, self.random.random()))
            step()
            self.check()
        self.clear()

    def decided(self, told: list[Pair], happens: Callable[[], object]) -> None:
        """What the room decided must be what the oracle does after the same has happened."""
        expected = self.oracle.settle(self.now)
        happens()
        expected += self.oracle.settle(self.now)
        assert told == expected
        self.decisions += len(told)

    # What can happen

    def arrival(self) -> None:
        self.contacts += 1
        owner = self.random.choice(("", "", *AGENTS))
        ticket = WorkItem(
            f"c{self.contacts:04}",
            self.random.choice(QUEUES),
            self.now - self.random.choice((0.0, 0.0, 0.0, 0.5, 7.0, 100.0)),
            self.random.choice(PBXS),
            self.random.choice((Channel.CALL, Channel.CALL, Channel.CHAT, Channel.MESSAGE, Channel.FAX)),
            parse(self.random.choice(EXPRESSIONS)) if self.random.random() < 0.4 else ANYBODY,
            self.random.choice((0.0, 0.0, 0.0, 5.0, 60.0, -10.0)),
            owner,
            self.now + self.random.choice((1.0, 5.0)) if owner else 0.0,
        )
        self.decided(self.room.enter(ticket, self.now), lambda: self.oracle.enter(ticket, self.now))

    def free(self) -> None:
        agent = self.random.choice([*self.oracle.agents, ""])
        if agent:
            self.decided(self.room.ready(agent, self.now), lambda: self.oracle.ready(agent, self.now))

    def finish(self) -> None:
        held = [(agent, contact) for agent, person in self.oracle.agents.items() for contact in person.holds]
        held = [(agent, contact) for agent, contact in held if contact not in self.oracle.items]
        if held:
            agent, contact = self.random.choice(held)
            told = self.room.finished(agent, contact, self.now)
            self.decided(told, lambda: self.oracle.finished(agent, contact, self.now))

    def connected(self) -> None:
        self.leave([contact for contact, item in self.oracle.items.items() if item.agent is not None])

    def abandon(self) -> None:
        self.leave(list(self.oracle.items))

    def leave(self, contacts: list[str]) -> None:
        if contacts:
            contact = self.random.choice(contacts)
            self.room.leave(contact)
            self.oracle.leave(contact)

    def refuse(self) -> None:
        if offered := self.offered():
            contact, agent = self.random.choice(offered)
            until = self.now + self.random.choice((0.0, 1.0, 5.0, 30.0))
            if self.random.random() < 0.4:
                self.go_away(agent)
            told = self.room.refused(contact, agent, until, self.now)
            self.decided(told, lambda: self.oracle.refused(contact, agent, until, self.now))

    def offered(self) -> list[tuple[str, str]]:
        """Who is rung for what."""
        items = self.oracle.items.items()
        return [(contact, agent) for contact, item in items for agent in (item.agent, *item.beside) if agent is not None]

    def ring_more(self) -> None:
        contacts = [contact for contact, item in self.oracle.items.items() if item.agent is not None]
        if contacts:
            contact, most = self.random.choice(contacts), self.random.randint(1, 4)
            self.decided(self.room.due(self.now), lambda: None)
            if self.oracle.items[contact].agent is not None:
                found = self.room.reserve_beside(contact, most, self.now)
                assert found == self.oracle.reserve_beside(contact, most, self.now)
                self.rung_at_once += len(found)

    def one_answers(self) -> None:
        if offered := self.offered():
            contact, agent = self.random.choice(offered)
            self.room.takes_it(contact, agent)
            self.oracle.takes_it(contact, agent)

    def reassign(self) -> None:
        reserved = [contact for contact, item in self.oracle.items.items() if item.agent is not None]
        if reserved:
            self.decided(self.room.due(self.now), lambda: None)
            could = [contact for contact in reserved if self.oracle.alternatives(contact, self.now)]
            contact = self.random.choice(could or reserved)
            others = self.oracle.alternatives(contact, self.now)
            assert self.room.alternatives(contact, 20) == others
            assert self.room.alternatives(contact, 1) == others[:1]
            agent = self.random.choice([*others, *AGENTS])
            before = self.oracle.items[contact].agent
            told = self.room.reassign(contact, agent, self.now)
            expected = self.oracle.reassign(contact, agent, self.now)
            assert self.room.agent_of(contact) == (agent if expected else before)
            assert told == expected + self.oracle.settle(self.now)
            self.reassigned += len(expected)

    def away(self) -> None:
        if self.oracle.agents:
            self.go_away(self.random.choice(list(self.oracle.agents)))

    def go_away(self, agent: str) -> None:
        self.room.away(agent, "lunch")
        self.oracle.away(agent)

    def seat(self, agent: str) -> None:
        profile = Profile(
            agent,
            frozenset(self.random.sample(QUEUES, self.random.randint(1, 3))),
            {skill: self.random.randint(1, 4) for skill in self.random.sample(SKILLS, self.random.randint(0, 4))},
            self.random.choice(CAPACITIES),
            frozenset(self.random.choice(((), (), (), ("other",)))),
        )
        self.decided(self.room.seat(profile, self.now), lambda: self.oracle.seat(profile, self.now))

    def change_agent(self) -> None:
        self.seat(self.random.choice(AGENTS))

    def log_out(self) -> None:
        free = [agent for agent, person in self.oracle.agents.items() if not person.holds]
        if free:
            agent = self.random.choice(free)
            # What is due comes first: the agent may get a contact now, and then cannot log out.
            self.decided(self.room.due(self.now), lambda: None)
            if not self.oracle.agents[agent].holds:
                self.decided(self.room.gone(agent, self.now), lambda: self.oracle.gone(agent))

    def own_wish(self) -> None:
        if self.oracle.agents:
            agent = self.random.choice(list(self.oracle.agents))
            self.contacts += 1
            channel = self.random.choice((Channel.CALL, Channel.CHAT))
            self.room.hold(agent, f"o{self.contacts}", channel, self.now)
            self.oracle.hold(agent, f"o{self.contacts}", channel, self.now)

    def priority(self) -> None:
        if self.oracle.items:
            contact = self.random.choice(list(self.oracle.items))
            offset = self.random.choice((0.0, 20.0, 300.0))
            told = self.room.amend(contact, self.now, offset=offset)
            self.decided(told, lambda: setattr(self.oracle.items[contact], "offset", offset))

    def requirement(self) -> None:
        if self.oracle.items:
            contact = self.random.choice(list(self.oracle.items))
            requires = parse(self.random.choice(EXPRESSIONS))
            told = self.room.amend(contact, self.now, requires=requires)
            self.decided(told, lambda: setattr(self.oracle.items[contact], "requires", requires))

    def set_queue(self, queue: str) -> None:
        policy = QueuePolicy(
            queue,
            parse(self.random.choice(EXPRESSIONS)),
            parse(self.random.choice(EXPRESSIONS)),
            self.rings(),
            self.random.choice(list(AgentOrder)),
            tuple(self.random.sample(AGENTS, 4)),
            self.random.choice((1.0, 1.0, 0.5, 3.0)),
            self.random.choice((0.0, 0.0, 30.0)),
            self.random.choice((None, None, None, 3)),
        )
        told = self.room.set_queue(policy, self.now)
        self.decided(told, lambda: self.oracle.queues.__setitem__(queue, policy))

    def rings(self) -> tuple[Ring, ...]:
        after, rings = 0.0, []
        for _ in range(self.random.choice((0, 0, 1, 3))):
            after += self.random.choice((1.0, 5.0, 5.5))
            drop = self.random.sample(SKILLS, self.random.randint(0, 1))
            lower = dict.fromkeys(self.random.sample(SKILLS, self.random.randint(0, 2)), 1)
            rings.append(Ring(after, tuple(drop), lower, self.random.choice(((), (), ("support",), ("sales", "chat")))))
        return tuple(rings)

    def change_queue(self) -> None:
        self.set_queue(self.random.choice(QUEUES))

    def suspend(self) -> None:
        scope = self.random.choice((("queue", "sales"), ("queue", "chat"), ("pbx", "main"), ("pbx", "other")))
        self.room.suspend(*scope, "closed")
        self.oracle.suspended.add(scope)

    def resume(self) -> None:
        if self.oracle.suspended:
            scope = self.random.choice(sorted(self.oracle.suspended))
            self.decided(self.room.resume(*scope, self.now), lambda: self.oracle.suspended.discard(scope))

    def pass_time(self) -> None:
        self.now += self.random.choice((0.5, 2.0, 10.0))
        self.decided(self.room.due(self.now), lambda: None)

    # What must hold

    def check(self) -> None:
        """Reservations, places and counters are those of the oracle."""
        room, oracle = self.room, self.oracle
        assert {contact: item.agent for contact, item in room.items.items()} == {
            contact: item.agent for contact, item in oracle.items.items()
        }
        assert room.beside == {contact: tuple(item.beside) for contact, item in oracle.items.items() if item.beside}
        if oracle.items:
            contact = self.random.choice(list(oracle.items))
            assert room.position(contact) == oracle.position(contact)
        queue = self.random.choice(QUEUES)
        items = [item for item in oracle.items.values() if item.ticket.queue == queue]
        reserved = sum(item.agent is not None for item in items)
        idle = [
            person
            for person in oracle.agents.values()
            if person.ready and queue in person.profile.queues and any(map(person.has_room, Channel))
        ]
        assert counts(room, queue) == Counts(len(items) - reserved, reserved, oracle.held(queue), len(idle))
        ordered = sorted(items, key=lambda item: (oracle.key(item), item.ticket.contact))
        assert line_of(room, queue) == [item.ticket.contact for item in ordered]
        if room.decisions:
            rates = len({policy.rate for policy in oracle.queues.values()})
            assert list(room.decisions)[-1].heads <= 2 * rates * WIDTH

    def clear(self) -> None:
        """Everything leaves: nothing is left behind."""
        room = self.room
        for contact in list(room.items):
            item = room.items[contact]
            agent = item.agent
            room.leave(contact)
            if agent is not None:
                room.away(agent, "home")
        for agent, seat in list(room.seats.items()):
            room.away(agent, "home")
            for contact in list(seat.holds or ()):
                room.finished(agent, contact, self.now)
            room.gone(agent, self.now)
        assert not room.idle.mask
        assert not room.owned
        assert not room.beside
        assert room.next_due() is None
        assert not room.table.columns
        for queue, policy in self.oracle.queues.items():
            assert not len(room.lines[queue].places)
            assert not room.lines[queue].held
            room.set_queue(evolve(policy, offset=1.0), self.now)
        assert not room.table.rows
