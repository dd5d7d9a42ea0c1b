"""Items that wait, and which of them is the best for an agent.  Pure.

score(t) = offset + rate · (t − enqueued) = rate · (t − key) with key = enqueued − offset / rate: the key never
changes, so nothing is sorted again while time passes.  Items of one rate are in order by their keys; where there are
several rates, the first of each is compared at the moment of asking.  Ties by key, then by contact.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from easycall.acd.agent_order import Order, order_of
from easycall.acd.classes import Row
from easycall.acd.places import Places
from easycall.acd.ranking import Members, Ranking, Rung, bits
from easycall.policy import AgentOrder, QueuePolicy

__all__ = ["NEVER", "Best", "Line", "Waiting", "better"]

NEVER = float("inf")
Best = tuple[float, float, str, float, int, Sequence[Rung], tuple[Any, ...]]
"""The score with its sign turned, key and contact of an item: the least is the best.  Its rate; the classes that were asked
for, and the rungs of that rate among which it was found; and the best ones, each told like this one, of other rates and
owners that were compared with it."""


class Line:
    """A queue: its policy, everything that has a place in it, and how many agents have something of it."""

    __slots__ = ("cap", "goes_round", "held", "order", "places", "policy", "reserved")

    def __init__(self, policy: QueuePolicy) -> None:
        self.set_policy(policy)
        self.places = Places()
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
        self.cap: float = NEVER if policy.cap is None else policy.cap

    @property
    def full(self) -> bool:
        """Whether agents have as many of its contacts as they may."""
        return self.held >= self.cap


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
                for _, contact in ranking.of(bit):
                    yield contact

    def attach(self, row: Row) -> Members:
        """Where items of a class that is new here stand, until :meth:`detach`."""
        rate = row.key.rate
        self._users[rate] = self._users.get(rate, 0) + 1
        return self.of(row)

    def detach(self, row: Row) -> None:
        """The class is no more."""
        rate = row.key.rate
        self._users[rate] -= 1
        if not self._users[rate]:
            del self._users[rate], self._by_rate[rate]

    def of(self, row: Row) -> Members:
        """Items of a class, which come and go there."""
        rate = row.key.rate
        ranking = self._by_rate.get(rate)
        if ranking is None:
            ranking = self._by_rate[rate] = Ranking()
        return ranking.of(row.bit)

    def best(self, mask: int, now: float) -> Best | None:
        """The best item of the classes of a mask; None when there is none."""
        best: Best | None = None
        for rate, ranking in self._by_rate.items():
            look = ranking.first(mask)
            if look is not None:
                (key, contact, _), asked, rungs = look
                found = (rate * (key - now), key, contact, rate, asked, rungs, ())
                best = found if best is None else better(best, found)
        return best


def better(one: Best | None, other: Best | None) -> Best | None:
    """The better of two, which knows the other."""
    if one is None or other is None:
        return one or other
    if other < one:
        one, other = other, one
    return (*one[:6], (*one[6], other))
