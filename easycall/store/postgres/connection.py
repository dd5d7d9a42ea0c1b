"""One connection to PostgreSQL, as txpostgres makes it, without the ways in which that one blocks or loses its tongue.

**Nothing of it is ever cancelled**: txpostgres answers a cancel by libpq's ``PQcancel()``, which blocks the reactor for as
long as the server hangs.  Who has waited long enough drops the connection; that ends every wait on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from itertools import islice
from typing import Any

import msgspec
import psycopg2
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from txpostgres import txpostgres

from easycall.defer import Bell
from easycall.store.inserts import insert

__all__ = ["PAGE", "Connection", "Statements", "marked", "storable"]

Statements = Sequence[tuple[str, Sequence[Sequence[Any]]]]

SILENT_SECONDS = 3.0
"""How long the server may take for one message: longer than it may run a statement, so that only one that hangs does."""

PAGE = 500
"""Rows in one message."""

MANY = 20
"""From so many rows on they are sent as JSON."""

_JSON = msgspec.json.Encoder()


class _Cursor(txpostgres.Cursor):  # type: ignore[misc] # without annotations
    """A cursor whose statement may be ended by ``statement_timeout`` without that being taken for our own cancelling."""

    def _handleCancellation(self, failure: Failure) -> Failure:
        return failure


class Connection(txpostgres.Connection):  # type: ignore[misc] # without annotations
    """A connection for one asker at a time.  :attr:`gone` rings when it is no more."""

    cursorFactory = _Cursor

    def __init__(self, reactor: Any) -> None:
        super().__init__(reactor=reactor)
        self._clock: IReactorTime = reactor
        self.gone = Bell()
        self._dropped = False
        self.silent = False
        """Whether it was dropped because the server said nothing."""

    # What txpostgres and the reactor call

    def _handleCancellation(self, failure: Failure) -> Failure:
        return failure

    def doRead(self) -> None:
        """Something comes though nobody asked: a notice, or the end."""
        try:
            super().doRead()
        except (psycopg2.Error, txpostgres.UnexpectedPollResult, ValueError):  # the last: libpq has closed the socket
            self.drop()

    def connectionLost(self, reason: Failure) -> None:
        """The socket is of no use any more, or we closed it."""
        super().connectionLost(reason)
        self.gone.ring()

    # What we call

    async def begin(self, url: str, wanted: dict[str, Any]) -> None:
        """Connect.  Raises psycopg2.Error; what :meth:`drop` ends raises too."""
        await self._answered(lambda: self.connect(url, **wanted))

    def drop(self) -> None:
        """Close it now, whatever runs on it; who waits for an answer gets an exception.  A second time does nothing."""
        if self._dropped or self.gone.rung:
            return
        self._dropped = True
        if self._connection is not None:
            for cursor in self._cursors:  # else a reactor that knows readers by object would keep them
                self.reactor.removeReader(cursor)
                self.reactor.removeWriter(cursor)
            self.close()
        self.gone.ring()

    async def rows(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """The rows of one statement."""
        cursor = self.cursor()
        await self._answered(lambda: cursor.execute(_written(cursor, sql, values)))
        return [] if cursor.description is None else cursor.fetchall()

    async def transact(self, statements: Statements) -> None:
        """Run all statements in one transaction.  After an exception nothing of it is left, or the connection is gone."""
        cursor = self.cursor()
        try:
            for message in _messages(cursor, statements):
                await self._answered(partial(cursor.execute, message))
        except Exception:
            await self._undo(cursor)
            raise

    async def _undo(self, cursor: Any) -> None:
        if self.gone.rung or self.disconnected:
            return self.drop()
        try:
            await self._answered(lambda: cursor.execute("ROLLBACK"))
        except Exception:
            self.drop()

    async def _answered(self, ask: Callable[[], Any]) -> None:
        timer = self._clock.callLater(SILENT_SECONDS, self._fall_silent)
        try:
            await ask()
        except psycopg2.Error:
            raise
        except Exception as why:  # txpostgres has several words for a connection that was dropped meanwhile
            if not (self._dropped or self.gone.rung or isinstance(why, txpostgres.UnexpectedPollResult)):
                raise
            self.drop()
            raise psycopg2.InterfaceError("the connection was dropped") from why
        finally:
            if timer.active():
                timer.cancel()

    def _fall_silent(self) -> None:
        self.silent = True
        self.drop()


def _messages(cursor: Any, statements: Statements) -> Iterator[bytes]:
    """The transaction in as few messages as its rows allow, each made when the one before is answered."""
    message, size = [b"BEGIN"], 0
    for sql, rows in statements:
        waiting = iter(rows)
        while page := list(islice(waiting, PAGE - size)):
            message.append(_statement(cursor, sql, page))
            size += len(page)
            if size >= PAGE:
                yield b";".join(message)
                message, size = [], 0
    yield b";".join([*message, b"COMMIT"])


def _statement(cursor: Any, sql: str, rows: Sequence[Sequence[Any]]) -> bytes:
    """One statement for each row; an INSERT that touches no row twice is one statement for all."""
    one = insert(sql)
    if one is None:
        return b";".join(_written(cursor, sql, values) for values in rows)
    if len(rows) < MANY or any(isinstance(value, bytes) for value in rows[0]):
        written = b",".join(_written(cursor, one.row, values) for values in rows)
        return f"{one.head} VALUES ".encode() + written + one.tail.encode()
    columns = ", ".join(one.columns)
    from_json = f"{one.head} SELECT {columns} FROM json_populate_recordset(NULL::{one.table}, ?){one.tail}"  # noqa: S608 - ours
    return _written(cursor, from_json, (_as_json(one.columns, rows),))


def _as_json(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Rows as PostgreSQL reads them most quickly, and as we write them most quickly."""
    written = _JSON.encode([dict(zip(columns, values, strict=True)) for values in rows])
    if b"\\u0000" in written:
        written = _JSON.encode([dict(zip(columns, storable(values), strict=True)) for values in rows])
    return written.decode()


def _written(cursor: Any, sql: str, values: Sequence[Any]) -> bytes:
    """A statement with its values."""
    written: bytes = cursor.mogrify(marked(sql), storable(values)) if values else sql.encode()
    return written


@lru_cache(maxsize=500)
def marked(sql: str) -> str:
    """The statement with psycopg2's marks: the one place where the two databases differ in their SQL."""
    return sql.replace("%", "%%").replace("?", "%s")


def storable(values: Sequence[Any]) -> tuple[Any, ...]:
    """PostgreSQL has no NUL in text.  One in what a phone sends must not keep a record from being stored."""
    return tuple(value.replace("\0", "\ufffd") if isinstance(value, str) and "\0" in value else value for value in values)
