"""Items that wait, and which of them is the best for an agent.  Pure.

score(t) = offset + rate · (t − enqueued) = rate · (t − key) with key = enqueued − offset / rate: the key never
changes, so nothing is sorted again while time passes.  Items of one rate are in order by their keys; where there are
several rates, the first of each is compared at the moment of asking.  Ties by key, then by contact.
"""

from __future__ import annotations

from collections.abc import Iterator

from easycall.acd.agent_order import Order, order_of
from easycall.acd.classes import Row
from easycall.acd.decisions import Seen
from easycall.acd.ordered import Ordered
from easycall.acd.ranking import Ranking, bits
from easycall.policy import AgentOrder, QueuePolicy

__all__ = ["NEVER", "Best", "Line", "Waiting"]

NEVER = float("inf")
Best = tuple[float, float, str, Seen]
"""The score with its sign turned, key and contact of an item: the least is the best; and what it was compared with."""


class Line:
    """A queue: its policy, everything that has a place in it, and how many agents have something of it."""

    __slots__ = ("goes_round", "held", "order", "places", "policy", "reserved")

    def __init__(self, policy: QueuePolicy) -> None:
        self.set_policy(policy)
        self.places = Ordered()
        """The places of all items, those reserved for an agent among them."""
        self.reserved = 0
        """How many items are reserved for an agent and have not left."""
        self.held = 0
        """How many of its contacts agents have, from the reservation to the end."""

    def set_policy(self, policy: QueuePolicy) -> None:
        """The policy that counts from now."""
        self.policy = policy
        self.order: Order = order_of(policy)
        self.goes_round = policy.agent_order is AgentOrder.ROUND_ROBIN

    @property
    def full(self) -> bool:
        """Whether agents have as many of its contacts as they may."""
        return self.policy.cap is not None and self.held >= self.policy.cap


class Waiting:
    """Items to choose from, each in its class."""

    __slots__ = ("_by_rate", "_users")

    def __init__(self) -> None:
        self._by_rate: dict[float, Ranking] = {}
        self._users: dict[float, int] = {}
        """Rate -> how many classes it has."""

    def __bool__(self) -> bool:
        return any(ranking.mask for ranking in self._by_rate.values())

    def __iter__(self) -> Iterator[str]:
        for ranking in self._by_rate.values():
            for bit in bits(ranking.mask):
                for _, contact in ranking.members(bit):
                    yield contact

    def attach(self, row: Row) -> Ranking:
        """Where items of a class that is new here stand, until :meth:`detach`."""
        rate = row.key.rate
        self._users[rate] = self._users.get(rate, 0) + 1
        return self._by_rate.setdefault(rate, Ranking())

    def detach(self, row: Row) -> None:
        """The class is no more."""
        rate = row.key.rate
        self._users[rate] -= 1
        if not self._users[rate]:
            del self._users[rate], self._by_rate[rate]

    def ranking(self, row: Row) -> Ranking:
        """Where items of a class stand."""
        return self._by_rate.setdefault(row.key.rate, Ranking())

    def best(self, mask: int, now: float) -> Best | None:
        """The best item of the classes of a mask; None when there is none."""
        found = [
            (rate * (look[0][0] - now), look[0][0], look[0][1], ((rate, look),))
            for rate, ranking in self._by_rate.items()
            if (look := ranking.first(mask)) is not None
        ]
        if len(found) < 2:
            return found[0] if found else None
        score, key, contact, _ = min(found)
        return (score, key, contact, [look for *_, looks in found for look in looks])
