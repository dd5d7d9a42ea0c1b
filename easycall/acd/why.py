"""How it stands in the waiting room: figures, and why an item waits or an agent is idle, when somebody asks.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, tzinfo
from heapq import merge
from itertools import islice

from attrs import frozen

from easycall.acd.item import Item
from easycall.acd.ordered import Entry
from easycall.acd.seating import Seat
from easycall.acd.waiting_room import WaitingRoom

__all__ = ["AgentWhy", "ContactWhy", "Counts", "Told", "counts", "line_of", "why_agent", "why_contact"]


@frozen
class Counts:
    """A queue at this moment."""

    waiting: int
    """Items for which an agent is looked for."""
    reserved: int
    """Items that are offered to an agent."""
    held: int
    """Contacts of the queue that agents have, those offered among them."""
    idle: int
    """Agents of the queue who have room for something."""


def counts(room: WaitingRoom, queue: str) -> Counts:
    """Count a queue.  Costs the number of classes of agents.  Raises KeyError for an unknown queue."""
    line = room.lines[queue]
    columns = sum(column.one for column in room.table.columns.values() if queue in column.key.queues)
    return Counts(len(line.places) - line.reserved, line.reserved, line.held, room.idle.count(columns))


def line_of(room: WaitingRoom, queue: str, limit: int = 50) -> list[str]:
    """The first contacts of a queue, those offered to an agent among them.  Raises KeyError for an unknown queue."""
    return [contact for _, contact in islice(room.lines[queue].places, limit)]


@frozen
class Told:
    """What keeps one agent and one item apart."""

    id: str
    """The agent's, or the contact's."""
    why: tuple[str, ...]
    """Empty: nothing does."""
    score: float | None = None
    """An item's."""


@frozen
class ContactWhy:
    """Why a contact has its place, and which agents may have it."""

    contact: str
    queue: str
    position: int
    score: float
    ring: int
    """How often it has been relaxed."""
    reserved: str
    """The agent it is reserved for; empty: nobody."""
    requires: str
    """The skill expression that counts now."""
    agents: tuple[Told, ...]
    """All who serve its queue, or one a ring added, by id."""


@frozen
class AgentWhy:
    """What keeps an agent and the items waiting in the agent's queues apart."""

    agent: str
    idle: bool
    items: tuple[Told, ...]
    """The first ones by score."""


def why_contact(room: WaitingRoom, contact: str, now: float, zone: tzinfo = UTC) -> ContactWhy:
    """Explain an item.  Costs the number of agents.  Raises KeyError for one that is not here."""
    item = room.items[contact]
    row = item.row.key
    seats = (seat for _, seat in sorted(room.seats.items()) if not row.groups.isdisjoint(seat.team.profile.queues))
    return ContactWhy(
        contact=contact,
        queue=row.queue,
        position=room.position(contact),
        score=item.score(now),
        ring=item.ring,
        reserved=item.agent or "",
        requires=str(row.requires),
        agents=tuple(Told(seat.id, tuple(_hindrances(room, item, seat, zone))) for seat in seats),
    )


def why_agent(room: WaitingRoom, agent: str, now: float, zone: tzinfo = UTC, limit: int = 50) -> AgentWhy:
    """Explain an agent: the first items of the queues that this one serves, and why they are not this one's.

    Raises KeyError for somebody who is not logged in.
    """
    seat = room.seats[agent]
    lines = [line for queue in sorted(seat.team.profile.queues) if (line := room.lines.get(queue)) is not None]
    best = merge(*(_by_score(line.places, line.policy.rate, now) for line in lines))
    items = [room.items[contact] for _, _, contact in islice(best, limit)]
    told = (Told(item.place[1], tuple(_hindrances(room, item, seat, zone)), item.score(now)) for item in items)
    return AgentWhy(agent, seat.column is not None, tuple(told))


def _by_score(places: Iterable[Entry], rate: float, now: float) -> Iterator[tuple[float, float, str]]:
    """The places of a queue with their scores, turned, so that the least is the best."""
    return ((rate * (key - now), key, contact) for key, contact in places)


def _hindrances(room: WaitingRoom, item: Item, seat: Seat, zone: tzinfo) -> Iterator[str]:
    """What keeps them apart, in words."""
    row, profile = item.row.key, seat.team.profile
    contact = item.place[1]
    if item.agent is not None:
        yield f"reserved for {item.agent}"
    if seat.absence is not None:
        why, until = seat.absence
        yield f"{why} until {_clock(until, zone)}" if until else why
    if row.channel not in profile.capacity.free(seat.held):
        busy = ", ".join(f"{hold[1].value} {held}" for held, hold in (seat.holds or {}).items())
        yield f"has {busy}: no room for another {row.channel.value}" if busy else f"takes no {row.channel.value}"
    if row.groups.isdisjoint(profile.queues):
        yield f"does not serve {' or '.join(sorted(row.groups))}"
    if row.pbx in profile.unreachable:
        yield f"phone cannot be reached from {row.pbx}"
    yield from row.requires.missing(profile.skills)
    yield from _closed(room, item)
    if item.owner not in ("", seat.id):
        yield f"belongs to {item.owner} until {_clock(item.owner_until, zone)}"
    if seat.refused and contact in seat.refused:
        yield f"did not take this one, not offered again until {_clock(seat.refused[contact], zone)}"


def _closed(room: WaitingRoom, item: Item) -> Iterator[str]:
    line, pbx = item.course.line, item.course.pbx
    for kind, name in (("queue", line.policy.id), ("pbx", pbx)):
        if (kind, name) in room.suspended:
            yield f"{kind} {name}: {room.suspended[kind, name]}"
    if line.full:
        yield f"queue {line.policy.id} has as many conversations as it may: {line.policy.cap}"


def _clock(at: float, zone: tzinfo) -> str:
    return datetime.fromtimestamp(at, zone).strftime("%H:%M:%S")
