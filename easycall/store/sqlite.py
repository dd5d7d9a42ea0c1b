"""The one-machine database: SQLite in one thread of its own (adbapi).

One connection in one thread means that we never meet our own locks.  ``synchronous=FULL`` costs nothing, because the journal
writes in groups.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from twisted.enterprise.adbapi import ConnectionPool, Transaction
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from easycall.defer import limited
from easycall.ports import StatementRefused, StoreUnavailable

__all__ = ["SQLite", "take"]

log = Logger()
T = TypeVar("T")

STATEMENT_SECONDS = 5.0
"""How long one transaction may run in the thread, and how long it waits for a lock of another program."""

ANSWER_SECONDS = 10.0
"""How long an asker waits, the turns of others before it included."""

_OURS = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError, sqlite3.NotSupportedError)
"""Faults of the statement, not of the store."""


class SQLite:
    """The :class:`~easycall.ports.Database` of one SQLite file, used by one daemon at a time."""

    def __init__(self, path: str, reactor: Any) -> None:
        """``reactor`` runs the thread and the time limits; nothing is opened before :meth:`open`."""
        self._path = path
        self._reactor = reactor
        self._clock: IReactorTime = reactor
        self._pool: Any = None  # a ConnectionPool while open; adbapi has no annotations
        self._lock: int | None = None

    async def open(self) -> None:
        """Create or upgrade the file, in a thread.  Raises StoreUnavailable with the reason in words."""
        pool = _pool(self._path, self._reactor)
        pool.start()
        try:
            self._lock = await deferToThreadPool(self._reactor, pool.threadpool, _ready, self._path)
            await pool.runInteraction(_run_query, "SELECT 1", ())
        except BaseException as why:
            _close(pool, self._lock)
            self._lock = None
            if isinstance(why, (sqlite3.Error, OSError, _Refused)):
                raise StoreUnavailable(f"database {self._path}: {why}") from why
            raise
        self._pool = pool

    async def close(self) -> None:
        """Finish what was asked and close the file.  No thread is left.  A second time does nothing."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            # Behind all that was asked before; empties the write-ahead log, so that closing has nothing left to do.
            await limited(pool.runWithConnection(_checkpoint), ANSWER_SECONDS, self._clock)
        except (sqlite3.Error, TimeoutError) as why:
            log.warn("database {path}: the write-ahead log was not emptied: {why}", path=self._path, why=str(why))
        _close(pool, self._lock)
        self._lock = None

    async def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of one reading statement.  Raises StoreUnavailable and StatementRefused."""
        return await self._run(_run_query, sql, values)

    async def transact(self, *statements: tuple[str, Sequence[Sequence[Any]]]) -> None:
        """Run each statement for each of its rows of values, all or nothing.  Raises as :meth:`query`."""
        await self._run(_run_statements, statements)

    async def _run(self, work: Callable[..., T], *arguments: Any) -> T:
        if self._pool is None:
            raise StoreUnavailable(f"database {self._path}: not open")
        try:
            asked: Deferred[T] = self._pool.runInteraction(work, *arguments)
            return await limited(asked, ANSWER_SECONDS, self._clock)
        except _OURS as why:
            raise StatementRefused(f"database {self._path}: {why}") from why
        except (sqlite3.Error, TimeoutError) as why:
            raise StoreUnavailable(f"database {self._path}: {why}") from why


def _pool(path: str, reactor: Any) -> Any:
    return ConnectionPool(
        "sqlite3",
        path,
        cp_min=1,
        cp_max=1,
        cp_reactor=reactor,
        cp_openfun=_prepare,
        check_same_thread=False,
        timeout=STATEMENT_SECONDS,
    )


class _Refused(Exception):
    """We do not use this file; the text says why."""


def take(path: str) -> int:
    """Take the file for us alone, and make it if it is not there; closing what is returned lets go.

    Raises StoreUnavailable when another has it, and OSError.
    """
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))  # callers' numbers are nobody else's business
    lock = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise StoreUnavailable(f"database {path}: another easycall uses it") from None
    return lock


def _ready(path: str) -> int:
    """In the thread: take the file for us alone and bring its schema up to date; returns the lock."""
    # Imported here: alembic and SQLAlchemy take a while to load, and only the thread needs them.
    from sqlalchemy.exc import DBAPIError

    from easycall.store import migrations

    lock = take(path)
    try:
        migrations.upgrade_sqlite(path)
    except BaseException as why:
        os.close(lock)
        if isinstance(why, (DBAPIError, migrations.SchemaTooNew)):
            raise _Refused(str(getattr(why, "orig", why))) from why
        raise
    return lock


def _prepare(connection: sqlite3.Connection) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _run_query(cursor: Transaction, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    _limit(cursor)
    cursor.execute(sql, values)
    rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _run_statements(cursor: Transaction, statements: Sequence[tuple[str, Sequence[Sequence[Any]]]]) -> None:
    _limit(cursor)
    for sql, rows in statements:
        cursor.executemany(sql, rows)


def _limit(cursor: Transaction) -> None:
    """Let SQLite itself break off what runs too long: the asker's own limit would leave the thread busy."""
    until = time.monotonic() + STATEMENT_SECONDS
    cursor.connection.set_progress_handler(lambda: time.monotonic() > until, 10_000)


def _checkpoint(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _close(pool: Any, lock: int | None) -> None:
    pool.close()
    if lock is not None:
        os.close(lock)
