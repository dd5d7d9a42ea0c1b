"""Who gets whom: the pure decision of the distributor."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from attrs import frozen

from easycall.model import Agent, AgentState, WorkItem

__all__ = ["Pair", "in_order", "match", "next_look"]


@frozen
class Pair:
    """A contact and the agent it is to be offered to."""

    contact: str
    agent: str


def in_order(waiting: Iterable[WorkItem]) -> list[WorkItem]:
    """First come, first served; ties by contact id, which grows with time of arrival."""
    return sorted(waiting, key=lambda item: (item.enqueued, item.contact))


def match(waiting: Iterable[WorkItem], agents: Iterable[Agent], frozen_pbxs: Collection[str], now: float) -> list[Pair]:
    """Give each waiting item, longest waiting first, the longest idle agent who may take it.

    An agent of several queues so gets the item that waits longest over all of them.  Items on an Asterisk whose link is
    down (``frozen_pbxs``) wait on, and an agent who refused an item is not offered it again before the time noted.
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
            if item.queue in agent.queues and item.refused.get(agent.id, now) <= now:
                pairs.append(Pair(item.contact, agent.id))
                idle.remove(agent)
                break
    return pairs


def next_look(waiting: Iterable[WorkItem], now: float) -> float | None:
    """When a refusal runs out next, so that a match becomes possible that nothing else would trigger; None: never."""
    return min((until for item in waiting for until in item.refused.values() if until > now), default=None)
