"""Agents who are logged in, and the idle ones of them in the orders that queues choose by.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from heapq import merge
from types import MappingProxyType

from easycall.acd.agent_order import LongestIdle, Order
from easycall.acd.classes import AgentClass, Column, Row, Table
from easycall.acd.ranking import Look, Ranking, bits
from easycall.acd.waiting import Line
from easycall.policy import Capacity, Channel, Profile

__all__ = ["Absence", "Before", "Hold", "Idle", "Seat", "Team", "Teams"]

Hold = tuple[Line | None, Channel, tuple[Channel]]
"""What an agent is busy with: of which queue, if one of ours gave it, what kind it is, and this as all there is."""
Absence = tuple[str, float]
"""Why an agent takes nothing, in words, and until when if that is known (else 0)."""
Before = tuple[float, float, float | None]
"""When an agent was reserved, since when this one was idle then, and when the queue, if it goes round, had last offered this
one something (0: never; None: it does not go round)."""
TeamKey = tuple[frozenset[tuple[str, int]], frozenset[str], frozenset[str], Capacity]


class Team:
    """Agents who are alike but for what they are busy with."""

    __slots__ = ("columns", "key", "profile", "users")

    def __init__(self, key: TeamKey, profile: Profile) -> None:
        self.key = key
        self.profile = profile
        """Of one of them: all but the id is the same for all."""
        self.columns: dict[tuple[Channel, ...], Column | None] = {}
        """What they are busy with -> their class then; None: they have no room for anything."""
        self.users = 0

    def column(self, idle: Idle, held: tuple[Channel, ...]) -> Column | None:
        """The class of those who are busy with this."""
        if held not in self.columns:
            channels = self.profile.capacity.free(held)
            self.columns[held] = idle.column(self.profile, channels) if channels else None
        return self.columns[held]


class Teams:
    """All teams that have members."""

    def __init__(self, table: Table, idle: Idle) -> None:
        self._table = table
        self._idle = idle
        self._known: dict[TeamKey, Team] = {}

    def take(self, profile: Profile) -> Team:
        """The team for one more agent."""
        key = (frozenset(profile.skills.items()), profile.queues, profile.unreachable, profile.capacity)
        team = self._known.get(key)
        if team is None:
            team = self._known[key] = Team(key, profile)
            team.column(self._idle, ())
        team.users += 1
        return team

    def release(self, team: Team) -> None:
        """One agent less is in it."""
        team.users -= 1
        if not team.users:
            del self._known[team.key]
            for column in team.columns.values():
                if column is not None:
                    self._table.release_column(column)


class Seat:
    """An agent who is logged in."""

    __slots__ = (
        "_hold",
        "_others",
        "absence",
        "busy_since",
        "column",
        "contact",
        "held",
        "id",
        "idle_since",
        "logged_in",
        "offered",
        "rated",
        "refused",
        "team",
        "worked",
    )

    def __init__(self, agent: str, team: Team, now: float) -> None:
        self.id = agent
        self.team = team
        self.column: Column | None = None
        """The class the agent is idle in; None: not idle."""
        self.absence: Absence | None = ("not ready", 0.0)
        """None: ready for what there is room for."""
        self.idle_since = now
        self.logged_in = now
        self.worked = 0.0
        """Seconds with contacts since log-in, but for the present ones."""
        self.busy_since = 0.0
        self.rated = now
        """When the agent became free: as of when :attr:`occupancy` is."""
        self.contact = ""
        """What the agent is busy with, one of several; empty: with nothing."""
        self._hold: Hold | None = None
        self._others: dict[str, Hold] | None = None
        self.held: tuple[Channel, ...] = ()
        """The kinds of all contacts the agent is busy with, sorted."""
        self.refused: dict[str, float] | None = None
        """Items the agent did not take -> until when they are not offered again."""
        self.offered: dict[str, float] | None = None
        """Queue -> when it last offered something, for queues that go round."""

    @property
    def holds(self) -> Mapping[str, Hold]:
        """The contacts the agent is busy with."""
        return MappingProxyType({} if self._hold is None else {self.contact: self._hold, **(self._others or {})})

    def takes(self, contact: str, hold: Hold, now: float) -> None:
        """The agent is busy with a contact."""
        if self._hold is None:
            self.contact, self._hold = contact, hold
            self.held = hold[2]
            self.busy_since = now
        else:
            self._keep({**self.holds, contact: hold})

    def drops(self, contact: str, now: float) -> Hold:
        """No more.  Raises KeyError when the agent was not."""
        hold = self._hold
        if hold is None or self._others or contact != self.contact:
            holds = dict(self.holds)
            hold = holds.pop(contact)
            self._keep(holds)
        else:
            self.contact, self._hold = "", None
            self.held = ()
            self.worked += now - self.busy_since
        self.rated = now
        return hold

    def counts(self, contact: str, hold: Hold) -> None:
        """A contact that the agent has counts as this."""
        self._keep({**self.holds, contact: hold})

    def _keep(self, holds: dict[str, Hold]) -> None:
        """The agent is busy with these: one at least, most often several."""
        self.held = tuple(sorted(hold[1] for hold in holds.values()))
        self.contact = next(iter(holds))
        self._hold = holds.pop(self.contact)
        self._others = holds or None

    def restore(self, contact: str, queue: str, before: Before) -> None:
        """The agent, who is not listed, is to lose a contact that was only reserved: be idle as if it had not been.

        What was given to the agent after it, or ended since, counts as it does.
        """
        reserved, idle_since, offered = before
        if next(reversed([*self.holds]), "") != contact:
            return
        if self.idle_since == reserved:
            self.idle_since = idle_since
        if offered is not None and self.offered and self.offered.get(queue) == reserved:
            self.offered = {**self.offered, queue: offered}

    @property
    def occupancy(self) -> float:
        """The share of the time since log-in with contacts, as of when the agent became free."""
        present = max(self.rated - self.busy_since, 0.0) if self.contact else 0.0
        logged_in = self.rated - self.logged_in
        return (self.worked + present) / logged_in if logged_in > 0 else 0.0


class Idle:
    """The idle agents of each class, once for each order that a queue chooses by.

    Whoever is idle longest is asked so often that this order is kept for all classes; it also tells who the idle ones are.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._base = LongestIdle()
        self._rankings: dict[Order, Ranking] = {self._base: Ranking()}
        self._users: dict[Order, int] = {self._base: 1}
        self._longest = self._rankings[self._base]
        self.heads = self._longest.ladder
        """Its mask tells which classes have idle agents."""

    @property
    def mask(self) -> int:
        """The classes that have idle agents."""
        return self.heads.mask

    def count(self, mask: int) -> int:
        """How many idle agents these classes have together."""
        return sum(map(self._longest.count, bits(mask & self._longest.mask)))

    def add(self, seat: Seat, column: Column) -> None:
        """An agent is idle."""
        seat.column = column
        column.members.add((seat.idle_since, seat.id))
        for order in column.orders:
            self._rankings[order].of(column.bit).add(order.entry(seat))

    def remove(self, seat: Seat) -> None:
        """An agent is not idle any more.  To be called before anything changes that orders look at."""
        column = seat.column
        if column is not None:
            seat.column = None
            column.members.remove((seat.idle_since, seat.id))
            for order in column.orders:
                self._rankings[order].of(column.bit).remove(order.entry(seat))

    def in_order(self, row: Row) -> Iterator[str]:
        """The idle agents who are eligible for items of a class, in the order in which they would be chosen."""
        ranking = self._rankings[row.key.order]
        for mask in row.grades.values():
            for entry in merge(*map(ranking.of, bits(mask & ranking.mask))):
                yield entry[-1]

    def first(self, row: Row) -> Look | None:
        """The best agent for items of a class; None when none of those eligible is idle."""
        ranking = self._rankings[row.key.order]
        for mask in row.grades.values():
            look = ranking.first(mask)
            if look is not None:
                return look
        return None

    def column(self, profile: Profile, channels: frozenset[Channel]) -> Column:
        """The class of agents with this profile and free channels, which stand in all orders that items want."""
        key = AgentClass(frozenset(profile.skills.items()), profile.queues, channels, profile.unreachable)
        column = self._table.column(key)
        if column.users == 1:
            column.members = self._longest.of(column.bit)
            orders = (self._table.rows[bit].key.order for bit in bits(column.rows))
            column.orders = tuple(dict.fromkeys(order for order in orders if order != self._base))
        return column

    def ask(self, row: Row, seats: dict[str, Seat]) -> None:
        """A class of items is new: its order is wanted of its agents."""
        order = row.key.order
        self._users[order] = self._users.get(order, 0) + 1
        ranking = self._rankings.setdefault(order, Ranking())
        for column in (self._table.columns[bit] for bit in bits(row.columns)):
            if order != self._base and order not in column.orders:
                column.orders = (*column.orders, order)
                members = ranking.of(column.bit)
                for *_, agent in column.members:
                    members.add(order.entry(seats[agent]))

    def ask_no_more(self, row: Row) -> None:
        """A class of items is no more."""
        order = row.key.order
        self._users[order] -= 1
        if not self._users[order]:
            del self._users[order], self._rankings[order]
            for column in self._table.columns.values():
                column.orders = tuple(other for other in column.orders if other != order)
