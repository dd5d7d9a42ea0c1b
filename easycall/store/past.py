"""The journal of days that are over, read beside the daemon that writes it.  Blocking: for the command line.

Read only, and a page at a time: no lock is held between two pages, so the daemon writes on and keeps its write-ahead log
short.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import quote

from easycall.events import AgentAssigned, Event
from easycall.ports import StoreUnavailable
from easycall.stats.codec import decode
from easycall.store.choice import SQLITE

__all__ = ["Past", "Reader", "SqliteReader"]

PAGE = 5_000
LOCKED_SECONDS = 5.0

VERSION = "SELECT version_num FROM alembic_version"
EXTENT = "SELECT min(seq), max(seq) FROM events"
MOMENT = "SELECT seq, at FROM events WHERE seq >= ? ORDER BY seq LIMIT 1"
ASSIGNED = (
    "SELECT kind, body FROM events WHERE seq IN "
    "(SELECT max(seq) FROM events WHERE contact = '' AND kind = ? AND seq < ? GROUP BY agent) ORDER BY seq"
)


class Reader(Protocol):
    """A database, opened for reading only.  As text: where it is."""

    def rows(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """The rows of one statement; ``?`` marks values.  Raises StoreUnavailable, with the remedy."""

    def close(self) -> None:
        """Let go."""


class Past:
    """A daemon's database, for reading only.  Every method raises StoreUnavailable, with the remedy."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        try:
            self._check()
        except StoreUnavailable:
            reader.close()
            raise

    @classmethod
    def of(cls, url: str, password: str = "") -> Self:
        """That of a URL of the configuration."""
        if url.startswith(SQLITE):
            return cls(SqliteReader(Path(url.removeprefix(SQLITE))))
        # Imported here: who uses SQLite needs no libpq.
        from easycall.store.postgres.address import Address
        from easycall.store.postgres.reading import PostgresReader

        return cls(PostgresReader(Address(url, password)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, why: BaseException | None, trace: TracebackType | None) -> None:
        self._reader.close()

    def extent(self) -> tuple[float, float] | None:
        """When the first and the last event happened; None when there is none."""
        [(first, last)] = self._query(EXTENT)
        if first is None:
            return None
        return self._query(MOMENT, first)[0][1], self._query(MOMENT, last)[0][1]

    def assigned_before(self, moment: float) -> list[Event]:
        """The latest assignment of every agent who had one before a moment."""
        return [decode(kind, body) for kind, body in self._query(ASSIGNED, AgentAssigned.kind, self._place(moment))]

    def events(self, first: float, end: float, kinds: Sequence[type[Event]]) -> Iterator[Event]:
        """The events of these kinds from ``first`` on and before ``end``, in the order of the journal."""
        place, last = self._place(first), self._place(end)
        marks = ", ".join("?" for _ in kinds)
        page = f"SELECT seq, kind, body FROM events WHERE seq >= ? AND seq < ? AND kind IN ({marks}) ORDER BY seq"  # noqa: S608
        while place < last:
            upto = min(place + PAGE, last)  # of the journal, not of what is asked for: so a page takes no longer than a page
            for _, kind, body in self._query(page, place, upto, *(one.kind for one in kinds)):
                yield decode(kind, body)
            place = upto

    def _place(self, moment: float) -> int:
        """The number of the first event from a moment on: looked for by halves, as the journal is in the order of time."""
        [(least, most)] = self._query(EXTENT)
        low, high = (0, 0) if least is None else (int(least), int(most) + 1)
        while low < high:
            middle = (low + high) // 2
            seq, at = self._query(MOMENT, middle)[0]
            if at < moment:
                low = int(seq) + 1
            else:
                high = middle
        return low

    def _check(self) -> None:
        from easycall.store import migrations  # here: alembic takes a while to load

        if trouble := migrations.unlike([version for (version,) in self._query(VERSION)]):
            raise StoreUnavailable(f"database {self._reader}: {trouble}")

    def _query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._reader.rows(sql, values)


class SqliteReader:
    """A :class:`Reader` of an SQLite file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        if not path.exists():
            raise StoreUnavailable(
                f"there is no database {path}: the daemon makes it when it starts first; see node.data and store.url of the "
                "configuration"
            )
        try:
            uri = f"file:{quote(str(path.absolute()))}?mode=ro"
            self._connection = sqlite3.connect(uri, uri=True, timeout=LOCKED_SECONDS, isolation_level=None)
        except sqlite3.Error as why:
            raise self._unreadable(why) from why

    def __str__(self) -> str:
        return str(self._path)

    def rows(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """The rows of one statement.  Raises StoreUnavailable, with the remedy."""
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as why:
            raise self._unreadable(why) from why

    def close(self) -> None:
        """Let go."""
        self._connection.close()

    def _unreadable(self, why: sqlite3.Error) -> StoreUnavailable:
        if "no such table" in str(why) or "not a database" in str(why):
            return StoreUnavailable(f"{self._path} is no database of easycall ({why}): see store.url of the configuration")
        return StoreUnavailable(
            f"database {self._path} cannot be read ({why}): run this as the user of the daemon, who may write in its folder"
        )
