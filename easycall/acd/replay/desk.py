"""An agent in a day that passes again.  Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from attrs import define, field, frozen

from easycall.acd.replay.day import AgentDay, Clocked, Doing, Duty, Presence
from easycall.model import Agent, AgentState, PhoneState

__all__ = ["Changed", "Desk"]

IN_USE = {"": PhoneState.IN_USE}
"""Whatever kept contacts away from a ready agent that day, keeps them away now."""


@frozen
class Changed:
    """What is different of an agent, from the log-in on."""

    queues: tuple[str, ...] | None = None
    """None: those of the day."""
    skills: Mapping[str, int] | None = None


@define
class Desk:
    """The agent as the waiting room hears of this one, what the agent wishes to be, and what is to be done."""

    agent: Agent
    clocked: Clocked
    wish: Presence
    """What the agent is when nothing is to be done."""
    changed: Changed
    duties: deque[Duty] = field(factory=deque)
    """What is to be done as soon as the agent is free."""
    reserved: float = 0.0
    """Since when, for the present contact."""

    @classmethod
    def of(cls, agent: str, told: AgentDay, changed: Changed, first: float, end: float) -> Desk:
        """Logged out, at the beginning of a day."""
        skills = told.skills_at(first) if changed.skills is None else changed.skills
        return cls(
            Agent(agent, agent, (), skills=skills, idle_since=told.idle_since),
            Clocked(first, end),
            Presence(first, AgentState.OFFLINE),
            changed,
        )

    @property
    def busy(self) -> bool:
        """Whether the agent has something to do."""
        return self.agent.state not in (AgentState.OFFLINE, AgentState.NOT_READY, AgentState.READY)

    def becomes(self, state: AgentState, contact: str, now: float) -> None:
        """The agent's state from now."""
        self.agent.state, self.agent.contact = state, contact
        if self.busy:
            doing = Doing.ELSE if state is AgentState.SUPERVISING else Doing.CONTACT
        else:
            doing = Doing.IDLE if state is AgentState.READY and not self.wish.hindered else Doing.ELSE
        self.clocked.turn(doing, now)

    def wishes(self, presence: Presence) -> None:
        """What the agent is, now or when nothing is to be done any more."""
        self.wish = presence
        self.agent.queues = presence.queues if self.changed.queues is None else self.changed.queues
        self.agent.phones = IN_USE if presence.hindered else {}
