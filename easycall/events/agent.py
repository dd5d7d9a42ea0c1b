"""The facts of agents, whichever contact they have."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from easycall.events.base import Event
from easycall.model import AgentState, Missed
from easycall.policy import Channel

__all__ = ["AgentAssigned", "AgentChanged", "WrapUpEnded"]


@frozen(kw_only=True)
class AgentChanged(Event):
    """An agent's state changed, or the contact or phone that goes with it."""

    kind = "agent.changed"
    state: AgentState
    reason: str = ""
    phone: str = ""
    queues: tuple[str, ...] = ()
    until: float = 0.0
    hindrance: str = ""
    """Why nothing is offered to the agent, ready or not: ``on a private call``, ``desktop lost``, ``phone unreachable``."""
    next: AgentState | None = None
    """What was asked for meanwhile, taken up when the contact is done."""
    next_reason: str = ""
    """Why, of :attr:`next`."""
    queue: str = ""
    """Of the contact that the agent talked with."""
    desktop: bool = False
    """The agent works with a desktop, so that its loss counts."""
    disposition: str = ""
    """What the agent has said came of the contact."""
    missed: Missed | None = None
    """The offer that was not answered, until the agent is ready again."""
    work: Mapping[str, Channel] = field(factory=dict)
    """The contacts without a call that the agent is offered or has -> what each is."""
    by: str = ""
    """The name of the API token that asked for the change; empty: nobody did."""


@frozen(kw_only=True)
class AgentAssigned(Event):
    """An agent's queues or skills were changed."""

    kind = "agent.assigned"
    queues: tuple[str, ...]
    """Those of every log-in."""
    serves: tuple[str, ...]
    """Those served now."""
    skills: Mapping[str, int] = field(factory=dict)
    by: str = ""
    """The name of the API token."""


@frozen(kw_only=True)
class WrapUpEnded(Event):
    """The agent is done with the work after a talk."""

    kind = "wrapup.ended"
    queue: str
    started: float
    """When it began: with the end of the talk."""
