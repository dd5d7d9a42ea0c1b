"""What keeps contacts away from an agent who is ready.  Pure."""

from __future__ import annotations

from easycall.model import Agent, PhoneState
from easycall.policy import Channel

__all__ = ["DESKTOP_LOST", "PRIVATE_CALL", "has_room", "hindrance", "hindrance_everywhere"]

PRIVATE_CALL = "on a private call"
"""The one hindrance that ends by itself: see :func:`hindrance`."""

DESKTOP_LOST = "desktop lost"
"""The hindrance of an agent whose desktop is gone."""

PRIVATE = frozenset({PhoneState.IN_USE, PhoneState.RINGING})


def hindrance(agent: Agent, pbx: str = "") -> str:
    """Why contacts are kept away from the agent, ready or not, in words; empty: they are not.

    A phone that one Asterisk cannot reach may be reached from another: ``pbx`` is where it would be rung; without, only one
    that none reaches is a hindrance.
    """
    states = [agent.phones.get(pbx)] if pbx else list(agent.phones.values())
    away = bool(states) and set(states) == {PhoneState.UNREACHABLE}
    return hindrance_everywhere(agent) or ("phone unreachable" if away else "")


def hindrance_everywhere(agent: Agent) -> str:
    """The same of what counts wherever a contact is: a private call, and a desktop that is gone."""
    if PRIVATE.intersection(agent.phones.values()):
        return PRIVATE_CALL
    return DESKTOP_LOST if agent.desktop_lost else ""


def has_room(agent: Agent, channel: Channel) -> bool:
    """Whether the work that the agent has without a call leaves room for one more of that kind."""
    return channel in agent.capacity.free(tuple(sorted(agent.work.values())))
