"""Routing by brute force: everything is looked at again after each step.  What the waiting room must decide."""

from __future__ import annotations

from dataclasses import dataclass, field

from easycall.policy import AgentOrder, Channel, Profile, QueuePolicy, WorkItem
from easycall.skills import Requirement, both


@dataclass
class Waiter:
    """An item."""

    ticket: WorkItem
    offset: float
    requires: Requirement
    owner: str
    refused: dict[str, float] = field(default_factory=dict)
    agent: str | None = None
    beside: list[str] = field(default_factory=list)
    """Agents who are rung too."""
    reserved: float = 0.0
    was_idle: float = 0.0
    was_offered: float | None = None


@dataclass
class Person:
    """An agent who is logged in."""

    profile: Profile
    logged_in: float
    idle_since: float
    ready: bool = False
    worked: float = 0.0
    busy_since: float = 0.0
    occupancy: float = 0.0
    holds: dict[str, tuple[str | None, Channel]] = field(default_factory=dict)
    offered: dict[str, float] = field(default_factory=dict)

    def rate(self, now: float) -> None:
        present = now - self.busy_since if self.holds else 0.0
        self.occupancy = (self.worked + present) / (now - self.logged_in) if now > self.logged_in else 0.0

    def has_room(self, channel: Channel) -> bool:
        held = [kind for _, kind in self.holds.values()]
        capacity = self.profile.capacity
        beside = capacity.beside.get(channel, frozenset())
        return held.count(channel) < capacity.limits.get(channel, 0) and all(kind in beside for kind in held)


class Oracle:
    """O(items · agents) a step."""

    def __init__(self) -> None:
        self.queues: dict[str, QueuePolicy] = {}
        self.items: dict[str, Waiter] = {}
        self.agents: dict[str, Person] = {}
        self.suspended: set[tuple[str, str]] = set()

    # What an item is

    def key(self, item: Waiter) -> float:
        policy = self.queues[item.ticket.queue]
        return item.ticket.enqueued - (policy.offset + item.offset) / policy.rate

    def score(self, item: Waiter, now: float) -> float:
        return self.queues[item.ticket.queue].rate * (now - self.key(item))

    def ring(self, item: Waiter, now: float) -> int:
        return sum(now >= item.ticket.enqueued + ring.after for ring in self.queues[item.ticket.queue].rings)

    def position(self, contact: str) -> int:
        mine = self.items[contact]
        others = [item for item in self.items.values() if item.ticket.queue == mine.ticket.queue]
        return 1 + sum((self.key(item), item.ticket.contact) < (self.key(mine), contact) for item in others)

    def held(self, queue: str) -> int:
        return sum(of == queue for person in self.agents.values() for of, _ in person.holds.values())

    # Who may have it

    def open(self, item: Waiter) -> bool:
        queue, pbx = item.ticket.queue, item.ticket.pbx
        cap = self.queues[queue].cap
        shut = ("queue", queue) in self.suspended or ("pbx", pbx) in self.suspended
        return not shut and (cap is None or self.held(queue) < cap)

    def eligible(self, item: Waiter, agent: str, now: float) -> bool:
        return self.open(item) and self.could_take(item, agent, now)

    def could_take(self, item: Waiter, agent: str, now: float) -> bool:
        person = self.agents[agent]
        ticket = item.ticket
        if not (person.ready and person.has_room(ticket.channel)):
            return False
        if ticket.pbx in person.profile.unreachable or item.owner not in ("", agent):
            return False
        if item.refused.get(agent, now) > now:
            return False
        policy = self.queues[ticket.queue]
        needed = both(policy.requires, item.requires)
        groups = {policy.id}
        for ring in policy.rings[: self.ring(item, now)]:
            needed = ring.relax(needed)
            groups.update(ring.groups)
        return bool(groups & person.profile.queues) and needed.fits(person.profile.skills)

    def order(self, item: Waiter, agent: str) -> tuple[object, ...]:
        person = self.agents[agent]
        policy = self.queues[item.ticket.queue]
        first: float = 0
        match policy.agent_order:
            case AgentOrder.LEAST_OCCUPIED:
                first = person.occupancy
            case AgentOrder.HIGHEST_LEVEL:
                first = -policy.prefers.grade(person.profile.skills)
            case AgentOrder.ROUND_ROBIN:
                first = person.offered.get(policy.id, 0.0)
            case AgentOrder.FIXED:
                order = policy.fixed_order
                first = order.index(agent) if agent in order else len(order)
        return (first, person.idle_since, agent)

    # Deciding

    def settle(self, now: float) -> list[tuple[str, str]]:
        """Time passes, and all pairs that are possible are made."""
        for item in self.items.values():
            if item.ticket.owner_until <= now or (item.agent is None and item.owner not in self.agents):
                item.owner = ""
        pairs = []
        while any(person.ready for person in self.agents.values()) and (pair := self._first_pair(now)):
            contact, agent = pair
            item, person = self.items[contact], self.agents[agent]
            self._reserve(item, person, now)
            pairs.append(pair)
        return pairs

    def _reserve(self, item: Waiter, person: Person, now: float) -> None:
        queue = item.ticket.queue
        goes_round = self.queues[queue].agent_order is AgentOrder.ROUND_ROBIN
        item.agent, item.reserved, item.was_idle = person.profile.id, now, person.idle_since
        item.was_offered = person.offered.get(queue, 0.0) if goes_round else None
        if not person.holds:
            person.busy_since = now
        person.holds[item.ticket.contact] = (queue, item.ticket.channel)
        if goes_round:
            person.offered[queue] = now
        if any(map(person.has_room, Channel)):
            person.idle_since = now

    def alternatives(self, contact: str, now: float) -> list[str]:
        """Who may have an item that is reserved, beside the one who has it, in the queue's order."""
        item = self.items[contact]
        if item.agent is None or item.beside:
            return []
        others = [agent for agent in self.agents if agent != item.agent and self.could_take(item, agent, now)]
        return sorted(others, key=lambda agent: self.order(item, agent))

    def _first_pair(self, now: float) -> tuple[str, str] | None:
        waiting = [item for item in self.items.values() if item.agent is None]
        for item in sorted(waiting, key=lambda item: (-self.score(item, now), self.key(item), item.ticket.contact)):
            agents = [agent for agent in self.agents if self.eligible(item, agent, now)]
            if agents:
                return item.ticket.contact, min(agents, key=lambda agent: self.order(item, agent))
        return None

    # What happens

    def enter(self, ticket: WorkItem, now: float) -> None:
        owner = ticket.owner if ticket.owner in self.agents and ticket.owner_until > now else ""
        self.items[ticket.contact] = Waiter(ticket, ticket.offset, ticket.requires, owner)

    def leave(self, contact: str) -> None:
        del self.items[contact]

    def seat(self, profile: Profile, now: float) -> None:
        if profile.id in self.agents:
            self.agents[profile.id].profile = profile
        else:
            self.agents[profile.id] = Person(profile, now, now)

    def ready(self, agent: str, now: float) -> None:
        person = self.agents[agent]
        if not person.ready:
            person.ready, person.idle_since = True, now
            person.rate(now)

    def away(self, agent: str) -> None:
        self.agents[agent].ready = False

    def gone(self, agent: str) -> None:
        del self.agents[agent]
        for item in self.items.values():
            item.refused.pop(agent, None)

    def drop(self, agent: str, contact: str, now: float) -> None:
        person = self.agents[agent]
        del person.holds[contact]
        if not person.holds:
            person.worked += now - person.busy_since
        person.rate(now)

    def hold(self, agent: str, contact: str, channel: Channel, now: float) -> None:
        person = self.agents[agent]
        if not person.holds:
            person.busy_since = now
        person.holds[contact] = (None, channel)

    def finished(self, agent: str, contact: str, now: float) -> None:
        self.drop(agent, contact, now)
        self.agents[agent].idle_since = now

    def reserve_beside(self, contact: str, most: int, now: float) -> list[str]:
        item = self.items[contact]
        found: list[str] = []
        while len(found) < most and not item.owner:
            busy = (item.agent, *item.beside)
            free = [agent for agent in self.agents if agent not in busy and self.could_take(item, agent, now)]
            if not free:
                break
            agent = min(free, key=lambda agent: self.order(item, agent))
            person = self.agents[agent]
            if not person.holds:
                person.busy_since = now
            person.holds[contact] = (None, item.ticket.channel)
            if any(map(person.has_room, Channel)):
                person.idle_since = now
            item.beside.append(agent)
            found.append(agent)
        return found

    def takes_it(self, contact: str, agent: str) -> None:
        item = self.items[contact]
        if item.agent != agent:
            assert item.agent is not None
            old = self.agents[item.agent].holds
            old[contact], self.agents[agent].holds[contact] = self.agents[agent].holds[contact], old[contact]
            item.beside[item.beside.index(agent)] = item.agent
            item.agent = agent

    def refused(self, contact: str, agent: str, until: float, now: float) -> None:
        item = self.items[contact]
        if item.beside:
            if agent == item.agent:
                self.takes_it(contact, item.beside[0])
            item.beside.remove(agent)
            self.drop(agent, contact, now)
            item.refused[agent] = until
            return
        self.drop(agent, contact, now)
        item.agent = None
        item.refused[agent] = until

    def reassign(self, contact: str, agent: str, now: float) -> list[tuple[str, str]]:
        """The pair, if it was made."""
        if agent not in self.alternatives(contact, now):
            return []
        item = self.items[contact]
        first = self.agents[item.agent or ""]
        if [*first.holds][-1] == contact:
            if first.idle_since == item.reserved:
                first.idle_since = item.was_idle
            if item.was_offered is not None and first.offered.get(item.ticket.queue) == item.reserved:
                first.offered[item.ticket.queue] = item.was_offered
        self.drop(first.profile.id, contact, now)
        self._reserve(item, self.agents[agent], now)
        return [(contact, agent)]
