"""Who gets whom: the choice among classes, and the reservation.  Pure.

A decision has a free agent or a waiting item at its centre and looks at the best of the eligible classes on the other
side.  Where one change makes many pairs possible, the item with the highest score chooses first.  Exceptions are
exact and cost only those they are about:

* Items that an agent refused are set aside while this agent chooses, and agents who refused an item while this item
  does: O(r log n), with r the refusals of that agent, or of that item, that still count.
* Items that belong to an owner wait apart, with their owner, where nobody else looks.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from easycall.acd.classes import Column, Table
from easycall.acd.decisions import Decisions
from easycall.acd.item import Item
from easycall.acd.ranking import WIDTH, Look
from easycall.acd.seating import Idle, Seat
from easycall.acd.waiting import Best, Line, Waiting, better

__all__ = ["Matching", "Pair"]

Pair = tuple[str, str]
"""A contact and the agent reserved for it."""


class Matching:
    """The items that wait and the agents who are idle."""

    def __init__(self, remembered: int) -> None:
        self.table = Table()
        self.idle = Idle(self.table)
        self.lines: dict[str, Line] = {}
        self.items: dict[str, Item] = {}
        self.seats: dict[str, Seat] = {}
        self.decisions = Decisions(remembered)
        self.suspended: dict[tuple[str, str], str] = {}
        """("queue" or "pbx", its name) -> why nothing of it is offered."""
        self.owned: dict[str, Waiting] = {}
        self.beside: dict[str, tuple[str, ...]] = {}
        """Contact -> agents who are reserved for it too, beside the one of :attr:`Item.agent`."""
        self.waiting = Waiting()
        self._closed = 0
        """The mask of the classes of items that are not offered now."""

    # Which take part

    def wait(self, item: Item) -> None:
        """An item is to be had."""
        row = item.row
        if not item.owner:
            row.members.add(item.place)
        elif item.owner in self.seats:
            self.owned.setdefault(item.owner, Waiting()).of(row).add(item.place)
        else:
            item.owner = ""
            row.members.add(item.place)

    def withdraw(self, item: Item) -> None:
        """An item that was to be had is not any more."""
        row = item.row
        if not item.owner:
            row.members.remove(item.place)
        else:
            waiting = self.owned[item.owner]
            waiting.of(row).remove(item.place)
            if not waiting:
                del self.owned[item.owner]

    def column(self, seat: Seat) -> Column | None:
        """The class an agent is in; None when the agent takes nothing or has no room."""
        if seat.absence is not None:
            return None
        try:
            return seat.team.columns[seat.held]
        except KeyError:
            return seat.team.column(self.idle, seat.held)

    def enlist(self, seat: Seat) -> None:
        """An agent who is not listed is idle, if there is room for anything."""
        column = self.column(seat)
        if column is not None:
            self.idle.add(seat, column)

    def close(self) -> None:
        """What is suspended or full has changed, or classes have: look which classes are not offered."""
        table = self.table
        closed = 0
        for kind, name in self.suspended:
            closed |= (table.rows_of_queue if kind == "queue" else table.rows_on_pbx).get(name, 0)
        for name, line in self.lines.items():
            if line.full:
                closed |= table.rows_of_queue.get(name, 0)
        self._closed = closed

    # Choosing

    def seek(self, seat: Seat, now: float, pairs: list[Pair]) -> None:
        """An agent who is not listed gets the best items there is room for, and is idle with the room that is left."""
        column = self.column(seat)
        while column is not None:
            mask = column.rows
            if self._closed:
                mask &= ~self._closed
            special = seat.refused or seat.id in self.owned
            best = self._best_but(seat, mask, now) if special else self.waiting.best(mask, now)
            if best is None:
                self.idle.add(seat, column)
                return
            item = self.items[best[2]]
            if item.owner:
                self.withdraw(item)
            else:
                item.row.members.remove(item.place)
            self.decisions.add((now, best[2], seat.id, -best[0], item.ring, 1, False, best, None))
            column = self._reserve(item, seat, now, pairs)

    def find(self, item: Item, now: float, pairs: list[Pair]) -> bool:
        """An item that is not to be had yet gets the best idle agent; False when there is none."""
        row = item.row
        if row.one & self._closed or not row.columns & self.idle.heads.mask:
            return False
        look = self._agent_for(item)
        if look is not None:
            self._give(item, look, now, pairs)
        return look is not None

    def match(self, mask: int, now: float, pairs: list[Pair]) -> None:
        """Many pairs may be possible among the items of these classes: the best item chooses first."""
        if not self.idle.mask:
            return
        mask &= ~self._closed
        owners = [seat for agent in self.owned if (seat := self.seats[agent]).column is not None]
        aside = []
        while (best := self._best(mask, owners, now)) is not None:
            item = self.items[best[2]]
            if not item.row.columns & self.idle.mask:
                mask &= ~item.row.one
                continue
            self.withdraw(item)
            look = self._agent_for(item)
            if look is not None:
                self._give(item, look, now, pairs)
                mask &= ~self._closed
            else:
                aside.append(item)
        for item in aside:
            self.wait(item)

    def _best(self, mask: int, owners: Sequence[Seat], now: float) -> Best | None:
        best = self.waiting.best(mask, now)
        for seat in owners:
            if seat.column is not None and seat.id in self.owned:
                best = better(best, self.owned[seat.id].best(mask & seat.column.rows, now))
        return best

    def _best_but(self, seat: Seat, mask: int, now: float) -> Best | None:
        """The best item for an agent who refused some or has some of the agent's own."""
        aside: Sequence[Item] = ()
        if seat.refused:
            items = (self.items[contact] for contact in seat.refused)
            aside = [item for item in items if item.agent is None and item.row.one & mask]
            for item in aside:
                self.withdraw(item)
        best = self.waiting.best(mask, now)
        if seat.id in self.owned:
            best = better(best, self.owned[seat.id].best(mask, now))
        for item in aside:
            self.wait(item)
        return best

    def _agent_for(self, item: Item) -> Look | None:
        """The best idle agent for an item; None when nobody eligible is idle."""
        row = item.row
        if item.owner:
            seat = self.seats[item.owner]
            if seat.column is None or not seat.column.one & row.columns or seat.id in (item.refused or ()):
                return None
            rung = (seat.idle_since, seat.id, seat.column.one)
            return (rung, seat.column.one, [rung])
        if not item.refused:
            return self.idle.first(row)
        aside = [(seat, seat.column) for agent in item.refused if (seat := self.seats[agent]).column is not None]
        for seat, _ in aside:
            self.idle.remove(seat)
        look = self.idle.first(row)
        for seat, column in aside:
            self.idle.add(seat, column)
        return look

    # Another agent than the first

    def others(self, item: Item, limit: int) -> list[str]:
        """The first idle agents who may have an item that is reserved already, in the order of its queue."""
        if item.owner or item.place[1] in self.beside:
            return []
        apart = {item.agent, *(item.refused or ())}
        return [*islice((agent for agent in self.idle.in_order(item.row) if agent not in apart), limit)]

    def may_take_over(self, item: Item, seat: Seat) -> bool:
        """Whether an agent is idle and may have an item that is reserved for another.

        Whether its queue or Asterisk is suspended, or the queue has all it may, does not matter: it has its agent already.
        """
        if seat.column is None or not seat.column.one & item.row.columns or seat.id == item.agent:
            return False
        if item.place[1] in self.beside:
            return False  # several are rung at once
        return item.owner in ("", seat.id) and seat.id not in (item.refused or ())

    # Reserving

    def _give(self, item: Item, look: Look, now: float, pairs: list[Pair]) -> None:
        row = item.row
        classes = row.columns & self.idle.mask
        few = classes.bit_count() <= WIDTH and not item.owner and not item.refused
        idle = self.idle.count(classes) if few else 1
        seat = self.seats[look[0][-2]]
        self.decisions.add((now, item.place[1], seat.id, item.score(now), item.ring, idle, not few, (), look))
        self.idle.remove(seat)
        column = self._reserve(item, seat, now, pairs)
        if column is not None:
            self.idle.add(seat, column)

    def reserve_beside(self, contact: str, most: int, now: float) -> list[str]:
        """Reserve so many more agents at most for an item that has one: the first to answer has it (:meth:`takes_it`).

        An item that belongs to an owner is nobody else's.  What they are busy with counts as no further contact of the
        queue.  Raises KeyError.
        """
        item = self.items[contact]
        if item.agent is None or item.owner:
            return []
        aside = [self.seats[agent] for agent in (item.agent, *self.beside.get(contact, ()))]
        for seat in aside:
            self.idle.remove(seat)  # who has it already may have room left, and is not asked again
        found: list[str] = []
        while len(found) < most and (look := self._agent_for(item)) is not None:
            seat = self.seats[look[0][-2]]
            idle = self.idle.count(item.row.columns & self.idle.mask)
            self.decisions.add((now, contact, seat.id, item.score(now), item.ring, idle, False, (), look))
            self.idle.remove(seat)
            seat.takes(contact, item.course.spare, now)
            if self.column(seat) is not None:
                seat.idle_since = now
            aside.append(seat)
            found.append(seat.id)
        for seat in aside:
            self.enlist(seat)
        if found:
            self.beside[contact] = (*self.beside.get(contact, ()), *found)
        return found

    def takes_it(self, contact: str, agent: str) -> None:
        """Of the agents reserved for an item, this one has it; the others are to be told :meth:`WaitingRoom.refused`.

        Raises KeyError.
        """
        item = self.items[contact]
        if item.agent == agent:
            return
        beside = self.beside[contact]
        if item.agent is None or agent not in beside:
            raise KeyError(f"contact {contact} is not offered to {agent}")
        self.seats[item.agent].counts(contact, item.course.spare)
        self.seats[agent].counts(contact, item.course.hold)
        self.beside[contact] = tuple(item.agent if one == agent else one for one in beside)
        item.agent = agent

    def _reserve(self, item: Item, seat: Seat, now: float, pairs: list[Pair]) -> Column | None:
        """An item that is not to be had and an agent who is not listed have each other; the class for what room is left.

        An agent with room left is idle from now: so chats go round.
        """
        contact = item.place[1]
        line = item.course.line
        item.agent = seat.id
        line.reserved += 1
        line.held += 1
        if line.held >= line.cap:
            self.close()
        seat.takes(contact, item.course.hold, now)
        offered = None
        if line.goes_round:
            known = seat.offered or {}
            offered = known.get(line.policy.id, 0.0)
            seat.offered = {**known, line.policy.id: now}
        item.before = (now, seat.idle_since, offered)
        pairs.append((contact, seat.id))
        column = self.column(seat)
        if column is not None:
            seat.idle_since = now
        return column
