"""Who gets whom: the pure decision of the distributor."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from attrs import frozen

from easycall.model import Agent, AgentState, PhoneState, WorkItem

__all__ = ["PRIVATE_CALL", "Pair", "hindrance", "in_order", "match", "next_look", "rank"]

PRIVATE_CALL = "on a private call"
"""The one hindrance that ends by itself: see :func:`hindrance`."""

PRIVATE = frozenset({PhoneState.IN_USE, PhoneState.RINGING})


@frozen
class Pair:
    """A contact and the agent it is to be offered to."""

    contact: str
    agent: str


def rank(item: WorkItem) -> tuple[float, str]:
    """First come, first served; ties by contact id, which grows with time of arrival.  The lower goes first."""
    return item.enqueued, item.contact


def in_order(waiting: Iterable[WorkItem]) -> list[WorkItem]:
    """By :func:`rank`."""
    return sorted(waiting, key=rank)


def hindrance(agent: Agent, pbx: str = "") -> str:
    """Why contacts are kept away from the agent, ready or not, in words; empty: they are not.

    A private call does so wherever it is, and so does a desktop that is gone.  A phone that cannot be reached from one
    Asterisk may be from another: ``pbx`` is where it would be rung; without, only one that none reaches is a hindrance.
    """
    if PRIVATE.intersection(agent.phones.values()):
        return PRIVATE_CALL
    if agent.desktop_lost:
        return "desktop lost"
    states = [agent.phones.get(pbx)] if pbx else list(agent.phones.values())
    return "phone unreachable" if states and set(states) == {PhoneState.UNREACHABLE} else ""


def match(waiting: Iterable[WorkItem], agents: Iterable[Agent], frozen_pbxs: Collection[str], now: float) -> list[Pair]:
    """Give each waiting item, longest waiting first, the longest idle agent who may take it.

    An agent of several queues so gets the item that waits longest over all of them.  Items on an Asterisk whose link is
    down (``frozen_pbxs``) wait on, an agent who refused an item is not offered it again before the time noted, and an agent
    whose phone is in a private call or cannot be reached is passed over.
    """
    idle = sorted(
        (agent for agent in agents if agent.state is AgentState.READY), key=lambda agent: (agent.idle_since, agent.id)
    )
    pairs = []
    for item in in_order(waiting):
        if not idle:
            break
        if item.pbx in frozen_pbxs:
            continue
        for agent in idle:
            if item.queue in agent.queues and item.refused.get(agent.id, now) <= now and not hindrance(agent, item.pbx):
                pairs.append(Pair(item.contact, agent.id))
                idle.remove(agent)
                break
    return pairs


def next_look(waiting: Iterable[WorkItem], now: float) -> float | None:
    """When a refusal runs out next, so that a match becomes possible that nothing else would trigger; None: never."""
    return min((until for item in waiting for until in item.refused.values() if until > now), default=None)
