"""What the agents were and did on a day: the part of :mod:`easycall.acd.replay.recount` that is about them.  Pure."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import define, evolve, field

from easycall.acd.agent import BUSY, HANDLING
from easycall.acd.replay.day import AgentDay, Clocked, Doing, Duty, Presence
from easycall.events import AgentAssigned, AgentChanged
from easycall.model import AgentState

__all__ = ["Busy", "Rota"]

OWN = frozenset({AgentState.OFFLINE, AgentState.NOT_READY, AgentState.READY})
"""States an agent has without anything to do."""


@define
class Busy:
    """An agent with something to do, from then on."""

    agent: str
    since: float
    contact: str
    supervises: bool
    stay: str = ""
    """The stay of which it is the answer."""
    offered: str = ""
    """The stay of which it was an offer that came to nothing."""
    refused: float = 0.0
    """How long it was not offered to this agent again then."""
    caller_left: bool = False
    """An offer that ended as the caller left the queue: it will be made again, or not."""
    talked: bool = False
    parted: float = 0.0


@define
class _Agent:
    """What is known of an agent so far."""

    clocked: Clocked
    told: AgentDay = field(factory=AgentDay)
    busy: Busy | None = None
    state: AgentState = AgentState.OFFLINE


class Rota:
    """All agents; see :class:`~easycall.acd.replay.recount.Recount`."""

    def __init__(self, first: float, end: float, skills: Mapping[str, Mapping[str, int]]) -> None:
        self._first = first
        self._end = end
        self._agents = {agent: self._hired(can) for agent, can in skills.items()}

    def _hired(self, skills: Mapping[str, int]) -> _Agent:
        known = _Agent(Clocked(self._first, self._end))
        known.told.skills.append((0.0, skills))
        return known

    def _agent(self, agent: str) -> _Agent:
        found = self._agents.get(agent)
        if found is None:
            found = self._agents[agent] = self._hired({})
        return found

    def busy(self, agent: str, contact: str) -> Busy | None:
        """What the agent does, if it is about this contact."""
        busy = self._agent(agent).busy
        return busy if busy is not None and busy.contact == contact else None

    def assigned(self, event: AgentAssigned) -> None:
        """An agent has other skills or queues."""
        told = self._agent(event.agent).told
        told.skills.append((event.at, event.skills))
        if told.presence:
            _add(told, evolve(told.presence[-1], at=event.at, queues=event.serves))

    def changed(self, event: AgentChanged) -> Busy | None:
        """An agent does something else; what this one is done with."""
        agent = self._agent(event.agent)
        agent.clocked.turn(_doing(event), event.at)
        done = self._work(agent, event)
        if event.state in OWN:
            state = event.state
        elif event.state is AgentState.SUPERVISING and event.next is None and agent.told.presence:
            state = agent.told.presence[-1].state  # it is not told what comes after
        else:
            state = event.next or AgentState.READY
        _add(agent.told, Presence(event.at, state, event.queues, bool(event.hindrance)))
        if event.state is AgentState.READY and agent.state not in (AgentState.READY, *BUSY) and event.at <= self._first:
            agent.told.idle_since = event.at
        agent.state = event.state
        return done

    def _work(self, agent: _Agent, event: AgentChanged) -> Busy | None:
        """What the agent has to do from now; what this one is done with."""
        busy, supervises, free = agent.busy, event.state is AgentState.SUPERVISING, event.state in OWN
        done = None
        if busy is not None and (free or event.contact != busy.contact or supervises != busy.supervises):
            done, agent.busy = busy, None
        if free:
            return done
        if agent.busy is None:
            agent.busy = Busy(event.agent, event.at, event.contact, supervises)
        if event.state in (AgentState.TALKING, AgentState.HELD):
            agent.busy.talked = True
        if event.state is AgentState.WRAP_UP and not agent.busy.parted:
            agent.busy.parted = event.at
        return done

    def duty(self, agent: str, duty: Duty) -> None:
        """What the agent did was given out by no queue."""
        self._agent(agent).told.duties.append(duty)

    def stop(self, at: float) -> list[Busy]:
        """Nothing is known from then on; what agents were busy with."""
        going_on = []
        for agent in self._agents.values():
            agent.clocked.turn(Doing.ELSE, at)
            if agent.busy is not None:
                going_on.append(agent.busy)
                agent.busy = None
        return going_on

    @property
    def days(self) -> dict[str, AgentDay]:
        """Agent -> what each was, without what was over when the day began."""
        return {agent: _of_the_day(known.told, self._first) for agent, known in self._agents.items()}

    @property
    def clocked(self) -> dict[str, Clocked]:
        """Agent -> the time spent."""
        return {agent: known.clocked for agent, known in self._agents.items()}


def _add(told: AgentDay, now: Presence) -> None:
    if not told.presence or evolve(told.presence[-1], at=now.at) != now:
        told.presence.append(now)


def _doing(event: AgentChanged) -> Doing:
    if event.state in HANDLING or event.state is AgentState.WRAP_UP:
        return Doing.CONTACT
    return Doing.IDLE if event.state is AgentState.READY and not event.hindrance else Doing.ELSE


def _of_the_day(told: AgentDay, first: float) -> AgentDay:
    """Without what was over when the day began."""
    before = [presence for presence in told.presence if presence.at <= first][-1:]
    begun = [evolve(presence, at=first) for presence in before]
    duties = sorted((duty for duty in told.duties if duty.at + duty.seconds > first), key=lambda duty: duty.at)
    return AgentDay(
        presence=[*begun, *(presence for presence in told.presence if presence.at > first)],
        duties=[
            duty if duty.at >= first else evolve(duty, at=first, seconds=duty.at + duty.seconds - first) for duty in duties
        ],
        skills=told.skills,
        idle_since=told.idle_since,
    )
