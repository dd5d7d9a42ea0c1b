"""Events, contacts and segments in the database: all their SQL, understood by SQLite and PostgreSQL alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from attrs import evolve

from easycall.events import DispositionSet, Event
from easycall.model import Direction, EndedBy, OfferOutcome, Outcome
from easycall.policy import Channel
from easycall.ports import Database
from easycall.stats.codec import decode
from easycall.stats.journal import Entry
from easycall.stats.record import NodeVisit, OfferMade, Overflowed, Record, Segment, SegmentKind, fold
from easycall.store.particulars import particulars_of, particulars_to_store
from easycall.store.recordings import ADD_RECORDING, RecordingIndex, recording_rows
from easycall.store.standing import standing

__all__ = ["ContactArchive"]

# ON CONFLICT: a batch whose commit was not confirmed is written again.
ADD_EVENT = "INSERT INTO events (seq, at, kind, contact, agent, body) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (seq) DO NOTHING"

CONTACT_COLUMNS = (
    "id, pbx, caller, caller_name, dialled, arrived, ended, outcome, ended_by, queue, agent, waited, talked, answers, data, "
    "end_estimated, direction, disposition, overflows, channel, nodes, offers, erased"
)
ADD_CONTACT = (
    f"INSERT INTO contacts ({CONTACT_COLUMNS}, customer) "  # noqa: S608 - constants only
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"
)
ADD_SEGMENT = (
    "INSERT INTO segments (contact, position, kind, started, ended, agent, queue, attempt, outcome) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (contact, position) DO NOTHING"
)

# A disposition may come when the contact has ended and its record is written.
SET_DISPOSITION = "UPDATE contacts SET disposition = ? WHERE id = ?"

LAST_EVENT = "SELECT coalesce(max(seq), 0) FROM events"
EVENTS_OF = "SELECT seq, kind, body FROM events WHERE contact = ? ORDER BY seq LIMIT 5000"
CONTACT = f"SELECT {CONTACT_COLUMNS} FROM contacts WHERE id = ?"  # noqa: S608 - constants only
SEGMENTS_OF = "SELECT kind, started, ended, agent, queue, attempt, outcome FROM segments WHERE contact = ? ORDER BY position"
ENDED = f"SELECT {CONTACT_COLUMNS} FROM contacts ORDER BY arrived DESC, id DESC LIMIT ?"  # noqa: S608 - constants only
ENDED_BEFORE = (
    f"SELECT {CONTACT_COLUMNS} FROM contacts "  # noqa: S608 - constants only
    "WHERE (arrived, id) < (SELECT arrived, id FROM contacts WHERE id = ?) ORDER BY arrived DESC, id DESC LIMIT ?"
)

_TEXTS = msgspec.json.Decoder(dict[str, str])
_NODES = msgspec.json.Decoder(tuple[NodeVisit, ...])
_OFFERS = msgspec.json.Decoder(tuple[OfferMade, ...])
_OVERFLOWS = msgspec.json.Decoder(tuple[Overflowed, ...])


class ContactArchive:
    """The journal's :class:`~easycall.stats.journal.Archive` in a database.  Every method raises StoreUnavailable."""

    def __init__(self, database: Database, known_by: Callable[[str], str] = str) -> None:
        """``known_by``: the number a customer is known by, of the number as shown."""
        self._database = database
        self._known_by = known_by
        self.recordings = RecordingIndex(database)

    async def last(self) -> int:
        """The highest sequence stored, 0 when there is none."""
        [(last,)] = await self._database.query(LAST_EVENT)
        return int(last)

    async def append(self, entries: Sequence[Entry], records: Sequence[Record]) -> None:
        """Store events and the records of ended contacts in one transaction; what is stored already is left alone."""
        events = [
            (entry.seq, entry.event.at, entry.event.kind, entry.event.contact, entry.event.agent, entry.body)
            for entry in entries
        ]
        contacts = [(*_contact_row(record), self._known_by(_customer(record))) for record in records]
        segments = [row for record in records for row in _segment_rows(record)]
        recordings = recording_rows(entries, records)
        said = [entry.event for entry in entries if isinstance(entry.event, DispositionSet)]
        dispositions = [(event.disposition, event.contact) for event in said]
        await self._database.transact(
            (ADD_EVENT, events),
            (ADD_CONTACT, contacts),
            (SET_DISPOSITION, dispositions),
            (ADD_SEGMENT, segments),
            (ADD_RECORDING, recordings),
            *particulars_to_store(entries),
        )

    async def record(self, contact: str) -> Record | None:
        """A contact's record.  One whose end was never seen (the daemon was killed) is drawn up to its last event."""
        rows = await self._database.query(CONTACT, contact)
        if not rows:
            return fold(contact, [event for _, event in await self.events(contact)])
        parts = await self._database.query(SEGMENTS_OF, contact)
        recordings = await self.recordings.of_contact(contact)
        wrap_ups, transactions = await particulars_of(self._database, contact)
        record = _record(rows[0], tuple(_segment(part) for part in parts))
        return evolve(record, recordings=recordings, wrap_ups=wrap_ups, transactions=transactions)

    async def events(self, contact: str) -> list[tuple[int, Event]]:
        """The events of a contact, in order; at most 5,000."""
        rows = await self._database.query(EVENTS_OF, contact)
        return [(seq, decode(kind, body)) for seq, kind, body in rows]

    async def standing(self, now: float) -> list[tuple[int, Event]]:
        """The events of contacts that may not have ended and the latest of agents, see :mod:`easycall.store.standing`."""
        return await standing(self._database, now)

    async def ended(self, limit: int, before: str = "") -> list[Record]:
        """Ended contacts, the latest arrival first, without segments; only those before contact ``before``."""
        if before:
            rows = await self._database.query(ENDED_BEFORE, before, limit)
        else:
            rows = await self._database.query(ENDED, limit)
        return [_record(row, ()) for row in rows]


def _customer(record: Record) -> str:
    return record.dialled if record.direction is Direction.OUTBOUND else record.caller


def _contact_row(record: Record) -> tuple[Any, ...]:
    return (
        record.id,
        record.pbx,
        record.caller,
        record.caller_name,
        record.dialled,
        record.arrived,
        record.ended,
        record.outcome.value if record.outcome else "",
        record.ended_by.value if record.ended_by else "",
        record.queue,
        record.agent,
        record.waited,
        record.talked,
        msgspec.json.encode(record.answers).decode(),
        msgspec.json.encode(record.data).decode(),
        int(record.end_estimated),
        record.direction.value,
        record.disposition,
        msgspec.json.encode(record.overflows).decode(),
        record.channel.value,
        msgspec.json.encode(record.nodes).decode(),
        msgspec.json.encode(record.offers).decode(),
        int(record.erased),
    )


def _record(row: tuple[Any, ...], segments: tuple[Segment, ...]) -> Record:
    values = dict(zip(CONTACT_COLUMNS.split(", "), row, strict=True))
    values["outcome"] = Outcome(values["outcome"]) if values["outcome"] else None
    values["ended_by"] = EndedBy(values["ended_by"]) if values["ended_by"] else None
    values["direction"] = Direction(values["direction"])
    values["channel"] = Channel(values["channel"])
    values["answers"] = _TEXTS.decode(values["answers"])
    values["data"] = _TEXTS.decode(values["data"])
    values["overflows"] = _OVERFLOWS.decode(values["overflows"])
    values["nodes"] = _NODES.decode(values["nodes"])
    values["offers"] = _OFFERS.decode(values["offers"])
    values["end_estimated"] = bool(values["end_estimated"])
    values["erased"] = bool(values["erased"])
    return Record(**values, segments=segments)


def _segment_rows(record: Record) -> list[tuple[Any, ...]]:
    return [
        (
            record.id,
            position,
            part.kind.value,
            part.started,
            part.ended,
            part.agent,
            part.queue,
            part.attempt,
            part.outcome.value if part.outcome else "",
        )
        for position, part in enumerate(record.segments)
    ]


def _segment(row: tuple[Any, ...]) -> Segment:
    kind, started, ended, agent, queue, attempt, outcome = row
    return Segment(SegmentKind(kind), started, ended, agent, queue, attempt, OfferOutcome(outcome) if outcome else None)
