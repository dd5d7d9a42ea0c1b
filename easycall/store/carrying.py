"""What the journal's files have and a database has not, carried over while the daemon is stopped.  Blocking: for the command
line.

A daemon that was stopped while its database was away leaves events in its files that nobody else has.  The next daemon
stores them; who changes, fills or rebuilds the database before must not pass them over.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from attrs import frozen
from sqlalchemy import Connection

from easycall.events import ContactEnded
from easycall.ports import StoreUnusable
from easycall.stats.codec import decode
from easycall.stats.framing import VERSION, Frame, scan
from easycall.stats.journal import Entry
from easycall.stats.record import fold
from easycall.store.contacts import ContactArchive
from easycall.store.journal_folder import JournalFolder

__all__ = ["Apart", "Carried", "carry_over", "missing", "recorded"]

PAGE = 500
BETWEEN = "SELECT seq, at, kind FROM events WHERE seq >= ? AND seq <= ?"
UNRECORDED = (
    f"SELECT DISTINCT contact FROM events WHERE kind = '{ContactEnded.kind}' "  # noqa: S608 - constants only
    "AND contact NOT IN (SELECT id FROM contacts)"
)

KnownBy = Callable[[str], str]


class Apart(Exception):
    """Files and database tell of different things under the same numbers: they are not of one site."""


@frozen
class Carried:
    """What went over."""

    events: int = 0
    records: int = 0
    strange: int = 0
    """Events that this easycall does not understand, and that were left in the file."""


def missing(folder: Path, connection: Connection) -> int:
    """How many events the files have that the database has not.  Raises Apart, OSError."""
    return sum(len(page) for page in _missing(folder, connection))


def carry_over(folder: Path, connection: Connection, known_by: KnownBy = str) -> Carried:
    """Give the database, whose schema is this version's, what only the files have; in the transaction of ``connection``.

    ``known_by``: the number a customer is known by, of the number as shown.  Raises Apart, OSError.
    """
    archive = ContactArchive(_Plain(connection), known_by)
    events, strange, ended = 0, 0, set()
    for page in _missing(folder, connection):
        entries = [entry for entry in map(_entry, page) if entry is not None]
        strange += len(page) - len(entries)
        _now(archive.append(entries, []))
        events += len(entries)
        ended |= {entry.event.contact for entry in entries if isinstance(entry.event, ContactEnded)}
    return Carried(events, _record(archive, sorted(ended)), strange)


def recorded(connection: Connection, known_by: KnownBy = str) -> int:
    """Make the records that contacts which ended do not have; how many."""
    contacts = [contact for (contact,) in connection.exec_driver_sql(UNRECORDED)]
    return _record(ContactArchive(_Plain(connection), known_by), contacts)


def _record(archive: ContactArchive, contacts: Sequence[str]) -> int:
    made = 0
    for contact in contacts:
        record = fold(contact, [event for _, event in _now(archive.events(contact))])
        if record is not None:
            _now(archive.append([], [record]))
            made += 1
    return made


def _missing(folder: Path, connection: Connection) -> Iterator[list[Frame]]:
    """The events that only the files have, some at a time."""
    if not folder.is_dir():
        return
    with _files(folder) as segments:
        while page := list(islice(segments, PAGE)):
            known = {seq: (at, kind) for seq, at, kind in _rows(connection, BETWEEN, page[0].seq, page[-1].seq)}
            for one in page:
                if known.get(one.seq, (one.at, one.kind)) != (one.at, one.kind):
                    raise Apart(
                        f"event {one.seq} in {folder} is another than in the database: they are of different sites or "
                        "times; move the folder away if its events are of no use any more"
                    )
            if found := [one for one in page if one.seq not in known]:
                yield found


@contextmanager
def _files(folder: Path) -> Iterator[Iterator[Frame]]:
    """Every event in the files, in order, while nobody else has them."""
    held = JournalFolder(folder)
    try:
        sizes = held.open()
    except OSError as why:
        if why.errno == errno.EAGAIN:
            raise StoreUnusable(f"{folder}: another easycall uses it: stop the daemon first") from why
        raise
    try:
        yield _frames(held, sizes)
    finally:
        held.close()


def _frames(held: JournalFolder, sizes: dict[str, int]) -> Iterator[Frame]:
    for name in sorted(sizes):
        first = name.removesuffix(".log")
        if name.endswith(".log") and first.isdecimal():
            yield from scan(held.read(name, 0, sizes[name]), int(first) - 1).frames


def _entry(one: Frame) -> Entry | None:
    """None: nobody of this version understands it."""
    try:
        return Entry(one.seq, decode(one.kind, one.body), one.body) if one.version <= VERSION else None
    except ValueError:
        return None


class _Plain:
    """A :class:`~easycall.ports.Database` on a connection that blocks, in whose transaction everything is."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return _rows(self._connection, sql, *values)

    async def transact(self, *statements: tuple[str, Sequence[Sequence[Any]]]) -> None:
        for sql, rows in statements:
            for row in rows:
                self._connection.exec_driver_sql(*_driven(self._connection, sql, row))


def _rows(connection: Connection, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.exec_driver_sql(*_driven(connection, sql, values))]


def _driven(connection: Connection, sql: str, values: Sequence[Any]) -> tuple[str, tuple[Any, ...]]:
    """A statement as the driver wants it."""
    if connection.dialect.name == "sqlite":
        return sql, tuple(values)
    from easycall.store.postgres.connection import marked, storable

    return marked(sql), storable(values)


def _now(work: Any) -> Any:
    """The result of a coroutine that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    raise RuntimeError("it waits for something")
