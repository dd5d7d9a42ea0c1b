"""Whom a queue chooses among idle agents.  Pure.

An order gives each agent an entry to be sorted by, which does not change while the agent is idle: so agents are put
in their places when they become idle, and nothing is sorted when an item comes.  The grade of ``highest_level`` is
the same for a whole class of agents, so it is no part of the entry: classes of the best grade are asked first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from attrs import field, frozen

from easycall.acd.ordered import Entry
from easycall.policy import AgentOrder, QueuePolicy

__all__ = ["FixedOrder", "IdleAgent", "LeastOccupied", "LongestIdle", "Order", "RoundRobin", "order_of"]


class IdleAgent(Protocol):
    """What an order may look at."""

    @property
    def id(self) -> str:
        """Whose."""

    @property
    def idle_since(self) -> float:
        """The end of the last contact, or the log-in."""

    @property
    def occupancy(self) -> float:
        """The share of the time since log-in with contacts, as of when the agent became free."""

    @property
    def offered(self) -> Mapping[str, float] | None:
        """Queue -> when it last offered something, for queues that go round; None: none did."""


class Order(Protocol):
    """One way to choose.  Hashable: equal orders share their places."""

    def entry(self, agent: IdleAgent) -> Entry:
        """What to sort an agent by, the least first; it ends with the agent's id."""


@frozen(cache_hash=True)
class LongestIdle:
    """The one who is idle longest."""

    def entry(self, agent: IdleAgent) -> Entry:
        """Since when."""
        return (agent.idle_since, agent.id)


@frozen(cache_hash=True)
class LeastOccupied:
    """The one with the smallest share of time spent with contacts."""

    def entry(self, agent: IdleAgent) -> Entry:
        """That share, as of when the agent became free."""
        return (agent.occupancy, agent.idle_since, agent.id)


@frozen(cache_hash=True)
class RoundRobin:
    """The one to whom the queue has offered nothing for longest."""

    queue: str

    def entry(self, agent: IdleAgent) -> Entry:
        """When it did; 0 if never."""
        return ((agent.offered or {}).get(self.queue, 0.0), agent.idle_since, agent.id)


@frozen(cache_hash=True)
class FixedOrder:
    """The first one of a list."""

    agents: tuple[str, ...]
    _ranks: Mapping[str, int] = field(init=False, eq=False, repr=False)

    @_ranks.default
    def _numbered(self) -> Mapping[str, int]:
        return {agent: rank for rank, agent in enumerate(self.agents)}

    def entry(self, agent: IdleAgent) -> Entry:
        """The place in the list; behind it when not in it."""
        return (self._ranks.get(agent.id, len(self.agents)), agent.idle_since, agent.id)


def order_of(policy: QueuePolicy) -> Order:
    """The order of a queue's agents; of the same grade, where it goes by level."""
    match policy.agent_order:
        case AgentOrder.LEAST_OCCUPIED:
            return LeastOccupied()
        case AgentOrder.ROUND_ROBIN:
            return RoundRobin(policy.id)
        case AgentOrder.FIXED:
            return FixedOrder(policy.fixed_order)
    return LongestIdle()
