"""The waiting room: items and agents come, change and go; whoever can be given something is.  A pure state machine.

Every method that can make a pair possible takes ``now`` and returns the pairs it reserved, ``(contact, agent)``.
After it, no idle agent and no waiting item are eligible for each other.  What changes by itself (rings, refusals,
owners' times) is done by :meth:`WaitingRoom.due`, which every one of these methods calls first; its caller sees to it
that it is called at :meth:`WaitingRoom.next_due` too.
"""

from __future__ import annotations

from collections.abc import Sequence

from easycall.acd.courses import Courses
from easycall.acd.item import Course, Item
from easycall.acd.matching import Matching, Pair
from easycall.acd.ordered import Entry, Ordered
from easycall.acd.seating import Seat, Teams
from easycall.acd.waiting import NEVER, Line
from easycall.policy import Channel, Profile, QueuePolicy, WorkItem
from easycall.skills import Requirement

__all__ = ["Pair", "WaitingRoom"]


class WaitingRoom(Matching):
    """All queues, everything that waits in them, and all agents who are logged in."""

    def __init__(self, remembered: int = 10_000) -> None:
        super().__init__(remembered)
        self._times = Ordered()
        self._next = NEVER
        """Nothing is due before; what it was for may have gone, and then :meth:`due` finds nothing."""
        self._courses = Courses(self)
        self._teams = Teams(self.table, self.idle)

    # Time

    def next_due(self) -> float | None:
        """When :meth:`due` must be called; None: not until something happens."""
        first = self._times.first
        return None if first is None else first[0]

    def due(self, now: float) -> list[Pair]:
        """Do what was to happen by now: items are relaxed, refusals and owners' times run out."""
        pairs: list[Pair] = []
        times = self._times
        touched = 0
        while (first := times.first) is not None and first[0] <= now:
            item = self.items[first[1]]
            if item.owner or item.refused:
                touched |= self._relent(item, now)
                continue
            times.pop()
            before = item.row
            ends = item.due = item.relax(now)
            if ends != NEVER:
                times.add((ends, first[1]))
            if item.row is not before and item.agent is None:
                before.members.remove(item.place)
                item.row.members.add(item.place)
                touched |= item.row.one
        self._next = NEVER if first is None else first[0]
        if touched and self.idle.heads.mask:
            self.match(touched, now, pairs)
        return pairs

    def _relent(self, item: Item, now: float) -> int:
        """Do what is due for an item that belongs to an owner or was refused; the mask of its class if it can be had."""
        waits = item.agent is None
        if waits:
            self.withdraw(item)
        item.relax(now)
        if item.owner_until <= now:
            item.owner = ""
        if item.refused:
            for agent in [agent for agent, until in item.refused.items() if until <= now]:
                item.refused = _without(item.refused, agent)
                self.seats[agent].refused = _without(self.seats[agent].refused, item.place[1])
        if waits:
            self.wait(item)
        self._schedule(item)
        return item.row.one if waits else 0

    def _schedule(self, item: Item) -> None:
        due, was = item.changes_at(), item.due
        if due != was:
            contact = item.place[1]
            if was != NEVER:
                self._times.remove((was, contact))
            if due != NEVER:
                self._times.add((due, contact))
            item.due = due
            if due < self._next:
                self._next = due

    # Queues

    def set_queue(self, policy: QueuePolicy, now: float) -> list[Pair]:
        """A queue is new, or has another policy, which counts at once for what waits there."""
        pairs = self.due(now) if now >= self._next else []
        line = self.lines.get(policy.id)
        if line is None:
            self.lines[policy.id] = Line(policy)
            return pairs
        items = [self.items[contact] for _, contact in line.places]
        for item in items:
            self._take_out(item)
        self._courses.drop_spare(policy.id)
        line.set_policy(policy)
        for item in items:
            self._put_on(item, item.course.requires, now)
        self.close()
        self.match(self.table.rows_of_queue.get(policy.id, 0), now, pairs)
        return pairs

    def suspend(self, kind: str, name: str, why: str) -> None:
        """Offer nothing of a queue (``kind`` "queue") or on an Asterisk ("pbx") until :meth:`resume`."""
        self.suspended[kind, name] = why
        self.close()

    def resume(self, kind: str, name: str, now: float) -> list[Pair]:
        """Offer it again."""
        pairs = self.due(now) if now >= self._next else []
        if self.suspended.pop((kind, name), None) is not None:
            self.close()
            masks = self.table.rows_of_queue if kind == "queue" else self.table.rows_on_pbx
            self.match(masks.get(name, 0), now, pairs)
        return pairs

    # Items

    def enter(self, ticket: WorkItem, now: float) -> list[Pair]:
        """An item comes.  Raises KeyError for an unknown queue, ValueError for a contact that is here already."""
        pairs = self.due(now) if now >= self._next else []
        contact = ticket.contact
        item = self._made(ticket, now)
        due = item.enqueued + item.course.times[item.ring]
        if not (item.row.columns & self.idle.heads.mask and self.find(item, now, pairs)):
            self.wait(item)
        if item.owner or item.refused:
            due = item.changes_at()
        if due != NEVER:
            item.due = due
            self._times.add((due, contact))
            if due < self._next:
                self._next = due
        return pairs

    def enter_offered(self, ticket: WorkItem, agents: Sequence[str], now: float) -> list[Pair]:
        """An item comes that is offered to these agents already, who are busy with it: it has its place meanwhile.

        Raises KeyError and ValueError as :meth:`enter`, and KeyError for an agent who is not here or not busy with it.
        """
        pairs = self.due(now) if now >= self._next else []
        contact = ticket.contact
        seats = [self.seats[agent] for agent in agents]
        for seat in seats:
            seat.holds[contact]
        item = self._made(ticket, now)
        first, *others = seats
        line = item.course.line
        item.agent, item.before = first.id, (now, first.idle_since, None)
        line.reserved += 1
        line.held += 1
        first.counts(contact, item.course.hold)
        for seat in others:
            seat.counts(contact, item.course.spare)
        if others:
            self.beside[contact] = tuple(seat.id for seat in others)
        if line.held >= line.cap:
            self.close()
        self._schedule(item)
        return pairs

    def _made(self, ticket: WorkItem, now: float) -> Item:
        """A new item, which is not to be had yet."""
        contact = ticket.contact
        line = self.lines[ticket.queue]
        if contact in self.items:
            raise ValueError(f"contact {contact} is waiting already")
        course = self._courses.take(line, ticket.channel, ticket.pbx, ticket.requires)
        item = self.items[contact] = Item(contact, ticket.enqueued, ticket.offset, course)
        if item.enqueued + course.times[0] <= now:
            item.relax(now)
        if ticket.owner_until > now and ticket.owner in self.seats:
            item.owner, item.owner_until = ticket.owner, ticket.owner_until
        if ticket.refused:
            for agent, until in ticket.refused.items():
                if until > now and agent in self.seats:
                    self._refuse(item, self.seats[agent], until)
        return item

    def amend(
        self, contact: str, now: float, *, offset: float | None = None, requires: Requirement | None = None
    ) -> list[Pair]:
        """Another priority, or another requirement beside the queue's, counts at once.  Raises KeyError."""
        pairs = self.due(now) if now >= self._next else []
        item = self.items[contact]
        self._take_out(item)
        if offset is not None:
            item.offset = offset
        self._put_on(item, item.course.requires if requires is None else requires, now)
        if item.agent is None:
            self.match(item.row.one, now, pairs)
        return pairs

    def leave(self, contact: str) -> None:
        """An item gives its place up: it is with its agent, who stays busy with it, or it is gone.  Raises KeyError."""
        item = self.items.pop(contact)
        self._take_out(item)
        self.beside.pop(contact, None)
        if item.due != NEVER:
            self._times.remove((item.due, contact))
        if item.refused:
            for agent in item.refused:
                seat = self.seats[agent]
                seat.refused = _without(seat.refused, contact)

    def position(self, contact: str) -> int:
        """The place in its queue, from 1, those reserved for an agent among them.  Raises KeyError.

        Costs one addition for each 512 items before it, and a walk through up to 512.
        """
        item = self.items[contact]
        return 1 + item.course.line.places.before(item.place)

    def waiting_in(self, queue: str) -> list[str]:
        """The contacts that wait in a queue, in order, those reserved for an agent among them.  Raises KeyError."""
        return [contact for _, contact in self.lines[queue].places]

    def ahead(self, contact: str = "") -> dict[str, int]:
        """Queue -> how many that look for an agent go before a contact, or before one who comes now.  Raises KeyError.

        Those reserved for an agent are taken to be the first of their queue.
        """
        mine: Entry = self.items[contact].place if contact else (NEVER,)
        return {queue: max(0, line.places.before(mine) - line.reserved) for queue, line in self.lines.items()}

    def front(self, queue: str) -> float | None:
        """Since when one would have to wait to be level with the first in line; None when nobody waits.  Raises KeyError."""
        line = self.lines[queue]
        return None if line.places.first is None else float(line.places.first[0]) + line.policy.offset / line.policy.rate

    def agent_of(self, contact: str) -> str | None:
        """The agent for whom an item is reserved, the first of several; None while one is looked for.  Raises KeyError."""
        return self.items[contact].agent

    def _take_out(self, item: Item) -> None:
        course = item.course
        line = course.line
        if item.agent is None:
            self.withdraw(item)
        else:
            line.reserved -= 1
        line.places.remove(item.place, item.block)
        course.users -= 1
        if not course.users:
            self._courses.rest(course)

    def _put_on(self, item: Item, requires: Requirement, now: float) -> None:
        """An item that was taken out comes back, on the course for this requirement."""
        course: Course = item.course
        line = course.line
        item.begin(item.place[1], self._courses.take(line, course.channel, course.pbx, requires))
        item.relax(now)
        if item.agent is None:
            self.wait(item)
        else:
            line.reserved += 1
        self._schedule(item)

    # Agents

    def seat(self, profile: Profile, now: float) -> list[Pair]:
        """An agent logs in, not ready, or has other queues, skills, capacity or ways to the phone, which count at once."""
        pairs = self.due(now) if now >= self._next else []
        team = self._teams.take(profile)
        seat = self.seats.get(profile.id)
        if seat is None:
            self.seats[profile.id] = Seat(profile.id, team, now)
            return pairs
        self.idle.remove(seat)
        seat.team, old = team, seat.team
        self._teams.release(old)
        self.seek(seat, now, pairs)
        return pairs

    def ready(self, agent: str, now: float, since: float | None = None) -> list[Pair]:
        """An agent takes what there is room for; who was not ready is idle ``since`` then, or from now.  Raises KeyError."""
        pairs = self.due(now) if now >= self._next else []
        seat = self.seats[agent]
        if seat.absence is not None:
            seat.absence = None
            seat.idle_since = now if since is None else since
            seat.rated = now
            self.seek(seat, now, pairs)
        return pairs

    def away(self, agent: str, why: str, until: float = 0.0) -> None:
        """An agent takes nothing: why, and until when if that is known.  Raises KeyError."""
        seat = self.seats[agent]
        self.idle.remove(seat)
        seat.absence = (why, until)

    def gone(self, agent: str, now: float) -> list[Pair]:
        """An agent logs out; what belonged to this one is anybody's.  Raises KeyError, ValueError for one with contacts."""
        pairs = self.due(now) if now >= self._next else []
        seat = self.seats[agent]
        if seat.holds:
            raise ValueError(f"{agent} has contacts: {', '.join(seat.holds)}")
        self.idle.remove(seat)
        for contact in seat.refused or ():
            item = self.items[contact]
            item.refused = _without(item.refused, agent)
            self._schedule(item)
        owned = [self.items[contact] for contact in self.owned.get(agent, ())]
        for item in owned:
            self.withdraw(item)
        del self.seats[agent]
        self._teams.release(seat.team)
        opened = 0
        for item in owned:
            self.wait(item)
            self._schedule(item)
            opened |= item.row.one
        self.match(opened, now, pairs)
        return pairs

    def held_by(self, agent: str) -> tuple[str, ...]:
        """The contacts an agent is busy with.  Raises KeyError."""
        return tuple(self.seats[agent].holds)

    def hold(self, agent: str, contact: str, channel: Channel, now: float) -> None:
        """An agent is busy with a contact that was not given out here.  Raises KeyError, ValueError."""
        seat = self.seats[agent]
        if contact in seat.holds:
            raise ValueError(f"{agent} has contact {contact} already")
        self.idle.remove(seat)
        seat.takes(contact, (None, channel, (channel,)), now)
        self.enlist(seat)

    def finished(self, agent: str, contact: str, now: float) -> list[Pair]:
        """An agent is not busy with a contact any more.  Raises KeyError, ValueError while it is only offered."""
        pairs = self.due(now) if now >= self._next else []
        item = self.items.get(contact)
        if item is not None and (item.agent == agent or agent in self.beside.get(contact, ())):
            raise ValueError(f"contact {contact} is offered to {agent}: it must leave, or be refused")
        seat = self.seats[agent]
        if seat.column is not None:
            self.idle.remove(seat)
        opened = self._unhold(seat, contact, now)
        seat.idle_since = now
        if opened:
            self._free(seat, opened, now, pairs)
        else:
            self.seek(seat, now, pairs)
        return pairs

    def refused(self, contact: str, agent: str, until: float, now: float) -> list[Pair]:
        """An offer came to nothing: the item has its old place, and is not offered to this agent again before ``until``.

        Of several agents the last one who refuses gives it its place back.  The agent may get another item at once; when
        not, tell :meth:`away` before.  Raises KeyError.
        """
        pairs = self.due(now) if now >= self._next else []
        seat, item = self.seats[agent], self.items[contact]
        if contact in self.beside:
            return self._steps_back(item, seat, until, now, pairs)
        if item.agent != agent:
            raise KeyError(f"contact {contact} is not offered to {agent}")
        self.idle.remove(seat)
        opened = self._unhold(seat, contact, now)
        item.agent = None
        item.course.line.reserved -= 1
        if until > now:
            self._refuse(item, seat, until)
        self.wait(item)
        self._schedule(item)
        self._free(seat, opened | item.row.one, now, pairs)
        return pairs

    def _steps_back(self, item: Item, seat: Seat, until: float, now: float, pairs: list[Pair]) -> list[Pair]:
        """One of several agents refuses; it stays reserved for the others."""
        contact = item.place[1]
        if item.agent == seat.id:
            self.takes_it(contact, self.beside[contact][0])
        beside = self.beside[contact]
        if seat.id not in beside:
            raise KeyError(f"contact {contact} is not offered to {seat.id}")
        self.beside[contact] = tuple(agent for agent in beside if agent != seat.id)
        if not self.beside[contact]:
            del self.beside[contact]
        self.idle.remove(seat)
        opened = self._unhold(seat, contact, now)
        if until > now:
            self._refuse(item, seat, until)
            self._schedule(item)
        self._free(seat, opened, now, pairs)
        return pairs

    def alternatives(self, contact: str, limit: int) -> list[str]:
        """The first so many other agents whom :meth:`reassign` would take now, in the queue's order.  Raises KeyError."""
        item = self.items[contact]
        return [] if item.agent is None else self.others(item, limit)

    def reassign(self, contact: str, agent: str, now: float) -> list[Pair]:
        """An item that is reserved goes to another agent, if this one is idle and may have it; else nothing changes.

        The first agent is idle again as before the reservation.  Whether it was done is told by :meth:`agent_of`, and the
        new pair is among those returned.  Raises KeyError for an item that is not here, or is not reserved.
        """
        pairs = self.due(now) if now >= self._next else []
        item, seat = self.items[contact], self.seats.get(agent)
        if item.agent is None or item.before is None:
            raise KeyError(f"contact {contact} is not reserved")
        if seat is None or not self.may_take_over(item, seat):
            return pairs
        first, line = self.seats[item.agent], item.course.line
        for one in (first, seat):
            self.idle.remove(one)
        first.restore(contact, line.policy.id, item.before)
        self._unhold(first, contact, now)
        line.reserved -= 1
        self.decisions.add((now, contact, agent, item.score(now), item.ring, 1, True, (), None))
        column = self._reserve(item, seat, now, pairs)
        if column is not None:
            self.idle.add(seat, column)
        self.seek(first, now, pairs)
        return pairs

    def note(self, contact: str, words: str) -> None:
        """Say something of the decision by which an item is reserved.  Raises KeyError as :meth:`reassign` does."""
        item = self.items[contact]
        if item.agent is None or item.before is None:
            raise KeyError(f"contact {contact} is not reserved")
        self.decisions.note(contact, item.agent, item.before[0], words)

    def _refuse(self, item: Item, seat: Seat, until: float) -> None:
        """An item is not offered to an agent before that time."""
        contact = item.place[1]
        item.refused = {**(item.refused or {}), seat.id: until}
        seat.refused = {**(seat.refused or {}), contact: until}

    def _unhold(self, seat: Seat, contact: str, now: float) -> int:
        """An agent lets a contact go; the mask of the classes that may be offered again for that."""
        line = seat.drops(contact, now)[0]
        if line is None:
            return 0
        line.held -= 1
        if line.held != line.cap - 1:
            return 0
        self.close()
        return self.table.rows_of_queue.get(line.policy.id, 0)

    def _free(self, seat: Seat, opened: int, now: float, pairs: list[Pair]) -> None:
        """An agent who is not listed has room again, and items of these classes may be had."""
        self.enlist(seat)
        column = seat.column
        self.match(opened if column is None else opened | column.rows, now, pairs)


def _without(refusals: dict[str, float] | None, name: str) -> dict[str, float] | None:
    """The refusals but for one; None when none is left."""
    return {other: until for other, until in (refusals or {}).items() if other != name} or None
