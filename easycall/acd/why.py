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

__all__ = ["AgentWhy", "ContactWhy", "Counts", "Exclusion", "Told", "counts", "line_of", "why_agent", "why_contact"]


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
class Exclusion:
    """One thing that keeps an agent and an item apart."""

    words: str
    until: float | None = None
    """When it ends by itself, if that is known."""

    def __str__(self) -> str:
        return self.words


@frozen
class Told:
    """What keeps one agent and one item apart."""

    id: str
    """The agent's, or the contact's."""
    eligible: bool
    """The agent could have the item: at most the order of things is between them."""
    why: tuple[Exclusion, ...]
    """Everything that keeps them apart; of those who are eligible, for whom else the item is reserved."""
    score: float | None = None
    """An item's."""


@frozen
class ContactWhy:
    """Why a contact has its place, and which agents may have it."""

    contact: str
    queue: str
    groups: tuple[str, ...]
    """The queues whose agents may have it now: its own, and those a ring added."""
    position: int
    score: float
    ring: int
    """How often it has been relaxed."""
    reserved: str
    """The agent it is reserved for, or several who are rung at once; empty: nobody."""
    requires: str
    """The skill expression that counts now."""
    priority: float
    """Points it has of its own, in the score already."""
    owner: str
    """The agent to whom alone it belongs now; empty: to nobody."""
    owner_until: float
    agents: tuple[Told, ...]
    """Those logged in who serve one of :attr:`groups`, the first ones by id."""
    more: int
    """How many more there are."""


@frozen
class AgentWhy:
    """What keeps an agent and the items waiting in the agent's queues apart."""

    agent: str
    idle: bool
    items: tuple[Told, ...]
    """The first ones by score."""
    more: int
    """How many more there are."""


def why_contact(room: WaitingRoom, contact: str, now: float, zone: tzinfo = UTC, limit: int = 200) -> ContactWhy:
    """Explain an item.  Costs the number of agents.  Raises KeyError for one that is not here."""
    item = room.items[contact]
    row = item.row.key
    ids = sorted(seat.id for seat in room.seats.values() if not row.groups.isdisjoint(seat.team.profile.queues))
    return ContactWhy(
        contact=contact,
        queue=row.queue,
        groups=tuple(sorted(row.groups)),
        position=room.position(contact),
        score=item.score(now),
        ring=sum(item.enqueued + ring.after <= now for ring in item.course.line.policy.rings),
        reserved=", ".join(_reserved_for(room, item)),
        requires=str(row.requires),
        priority=item.offset,
        owner=item.owner,
        owner_until=item.owner_until if item.owner else 0.0,
        agents=tuple(_told(room, item, room.seats[agent], zone, agent) for agent in ids[:limit]),
        more=len(ids[limit:]),
    )


def why_agent(room: WaitingRoom, agent: str, now: float, zone: tzinfo = UTC, limit: int = 50) -> AgentWhy:
    """Explain an agent: the first items of the queues that this one serves, and of others whose rings ask this one too by
    now; and why they are not this one's.

    Raises KeyError for somebody who is not logged in.
    """
    seat = room.seats[agent]
    queues = seat.team.profile.queues
    lines = [
        line
        for queue, line in sorted(room.lines.items())
        if queue in queues or any(not queues.isdisjoint(ring.groups) for ring in line.policy.rings)
    ]
    best = merge(*(_by_score(line.places, line.policy.rate, now) for line in lines))
    asked = (item for _, _, contact in best if not queues.isdisjoint((item := room.items[contact]).row.key.groups))
    told = tuple(_told(room, item, seat, zone, item.place[1], item.score(now)) for item in islice(asked, limit))
    return AgentWhy(agent, seat.column is not None, told, more=sum(1 for _ in asked))


def _by_score(places: Iterable[Entry], rate: float, now: float) -> Iterator[tuple[float, float, str]]:
    """The places of a queue with their scores, turned, so that the least is the best."""
    return ((rate * (key - now), key, contact) for key, contact in places)


def _told(room: WaitingRoom, item: Item, seat: Seat, zone: tzinfo, name: str, score: float | None = None) -> Told:
    reserved = _reserved_for(room, item)
    if seat.id in reserved:
        return Told(name, True, (Exclusion(f"reserved for {', '.join(reserved)}"),), score)
    exclusions = tuple(_exclusions(room, item, seat, zone))
    behind = (Exclusion(f"reserved for {', '.join(reserved)}"),) if reserved else ()
    return Told(name, not exclusions, exclusions + behind, score)


def _reserved_for(room: WaitingRoom, item: Item) -> tuple[str, ...]:
    """The agents who are rung for an item, or about to be."""
    return () if item.agent is None else (item.agent, *room.beside.get(item.place[1], ()))


def _exclusions(room: WaitingRoom, item: Item, seat: Seat, zone: tzinfo) -> Iterator[Exclusion]:
    """What keeps an agent from an item that is not the agent's already."""
    contact = item.place[1]
    if seat.absence is not None:
        yield _ending(*seat.absence, zone)
    yield from map(Exclusion, _misfits(item, seat))
    yield from map(Exclusion, _closed(room, item))
    if item.owner not in ("", seat.id):
        yield _ending(f"belongs to {item.owner}", item.owner_until, zone)
    if seat.refused and contact in seat.refused:
        yield _ending("did not take this one, not offered again", seat.refused[contact], zone)


def _misfits(item: Item, seat: Seat) -> Iterator[str]:
    row, profile = item.row.key, seat.team.profile
    if row.channel not in profile.capacity.free(seat.held):
        busy = ", ".join(f"{hold[1].value} {held}" for held, hold in seat.holds.items())
        yield f"has {busy}: no room for another {row.channel.value}" if busy else f"takes no {row.channel.value}"
    if row.groups.isdisjoint(profile.queues):
        yield f"does not serve {' or '.join(sorted(row.groups))}"
    if row.pbx in profile.unreachable:
        yield f"phone cannot be reached from {row.pbx}"
    yield from row.requires.missing(profile.skills)


def _closed(room: WaitingRoom, item: Item) -> Iterator[str]:
    line, pbx = item.course.line, item.course.pbx
    for kind, name in (("queue", line.policy.id), ("pbx", pbx)):
        if (kind, name) in room.suspended:
            yield f"{kind} {name}: {room.suspended[kind, name]}"
    if line.full:
        yield f"queue {line.policy.id} has as many conversations as it may: {line.policy.cap}"


def _ending(words: str, until: float, zone: tzinfo) -> Exclusion:
    """An exclusion that ends at that time; 0: nobody knows when."""
    if not until:
        return Exclusion(words)
    return Exclusion(f"{words} until {datetime.fromtimestamp(until, zone):%H:%M:%S}", until)
