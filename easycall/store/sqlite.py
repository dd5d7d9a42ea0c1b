"""The one-machine database: SQLite in one thread of its own (adbapi).

One connection in one thread means that we never meet our own locks.  ``synchronous=FULL`` costs nothing, because the journal
writes in groups.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import lru_cache
from itertools import chain
from typing import Any, TypeVar

from twisted.enterprise.adbapi import ConnectionPool, Transaction
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from easycall.defer import limited
from easycall.ports import StatementRefused, StoreUnavailable, StoreUnusable
from easycall.store.inserts import insert

__all__ = ["SQLite", "take"]

log = Logger()
T = TypeVar("T")

STATEMENT_SECONDS = 5.0
"""How long one transaction may run in the thread, and how long it waits for a lock of another program."""

ANSWER_SECONDS = 10.0
"""How long an asker waits, the turns of others before it included."""

PAGE = 1024
"""Rows of one INSERT at most; it and its halves are all there are, so that SQLite need not read each anew.  Times a table's
columns it must stay below SQLite's 32,766 values."""
LOOK_EVERY = 100_000
"""Steps of SQLite's machine, some milliseconds, between two looks at the clock: each costs the thread a turn."""
LOOK_SECONDS = 0.5
"""How long a start looks for damage in the file: callers wait meanwhile.  Damage it does not come to is met later."""

DAMAGED = "the file is damaged ({why}): run easycall db rebuild, which keeps it and takes over what can be read"

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
        self._trouble = ""
        """Why it could not be opened."""

    async def open(self) -> None:
        """Create or upgrade the file, in a thread.

        Raises StoreUnusable with the reason in words; StoreUnavailable when another program has locked the file.
        """
        pool = _pool(self._path, self._reactor)
        pool.start()
        try:
            self._lock = await deferToThreadPool(self._reactor, pool.threadpool, _ready, self._path)
            await pool.runInteraction(_run_query, "SELECT 1", ())
        except BaseException as why:
            _close(pool, self._lock)
            self._lock = None
            if isinstance(why, _Locked):
                self._trouble = str(why)
                raise StoreUnavailable(f"database {self._path}: {why}") from why
            if isinstance(why, (sqlite3.Error, OSError, _Refused)):
                raise StoreUnusable(f"database {self._path}: {why}") from why
            raise
        self._pool, self._trouble = pool, ""

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
            raise StoreUnavailable(f"database {self._path}: {self._trouble or 'not open'}")
        try:
            asked: Deferred[T] = self._pool.runInteraction(work, *arguments)
            return await limited(asked, ANSWER_SECONDS, self._clock)
        except _OURS as why:
            raise StatementRefused(f"database {self._path}: {why}") from why
        except (sqlite3.Error, TimeoutError) as why:
            if _damaged(why):
                raise StoreUnusable(f"database {self._path}: {DAMAGED.format(why=why)}") from why
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


class _Locked(Exception):
    """Another program has the file for itself, a backup for instance."""


def take(path: str) -> int:
    """Take the file for us alone, and make it if it is not there; closing what is returned lets go.

    Raises StoreUnusable when another has it, and OSError.
    """
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))  # callers' numbers are nobody else's business
    lock = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise StoreUnusable(f"database {path}: another easycall uses it") from None
    return lock


def _ready(path: str) -> int:
    """In the thread: take the file for us alone and bring its schema up to date; returns the lock."""
    # Imported here: alembic and SQLAlchemy take a while to load, and only the thread needs them.
    from sqlalchemy.exc import DBAPIError

    from easycall.store import migrations

    lock = take(path)
    try:
        _look(path)
        migrations.upgrade_sqlite(path)
    except BaseException as why:
        os.close(lock)
        cause = getattr(why, "orig", why)
        if getattr(cause, "sqlite_errorcode", None) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise _Locked(str(cause)) from why
        if _damaged(cause):
            raise _Refused(DAMAGED.format(why=cause)) from why
        if isinstance(why, (DBAPIError, migrations.SchemaTooNew)):
            raise _Refused(str(cause)) from why
        raise
    return lock


def _look(path: str) -> None:
    """Raises _Refused for a file that is damaged where it is looked at."""
    with closing(sqlite3.connect(path, timeout=STATEMENT_SECONDS)) as connection:
        until = time.monotonic() + LOOK_SECONDS
        connection.set_progress_handler(lambda: time.monotonic() > until, 10_000)
        try:
            [(found,)] = connection.execute("PRAGMA quick_check(1)").fetchall()
        except sqlite3.OperationalError as why:
            if why.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                raise
            return
    if found != "ok":
        raise _Refused(DAMAGED.format(why=found.partition("\n")[2] or found))


def _damaged(why: BaseException) -> bool:
    return getattr(why, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _prepare(connection: sqlite3.Connection) -> None:
    # secure_delete: what is removed or erased is overwritten in the file.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _run_query(cursor: Transaction, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    with _closed_by_its_thread(cursor):
        _limit(cursor)
        cursor.execute(sql, values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def _run_statements(cursor: Transaction, statements: Sequence[tuple[str, Sequence[Sequence[Any]]]]) -> None:
    with _closed_by_its_thread(cursor):
        _limit(cursor)
        for sql, rows in statements:
            _run_rows(cursor, sql, rows)


@contextmanager
def _closed_by_its_thread(cursor: Transaction) -> Iterator[None]:
    """Leave nothing for the reactor to tidy up after a statement that failed.

    The exception goes to the reactor and takes the cursor along.  SQLite frees a cursor under the lock that the thread has
    while it waits for another program: the reactor would wait with it.
    """
    try:
        yield
    except BaseException:
        cursor.close()
        raise


def _run_rows(cursor: Transaction, sql: str, rows: Sequence[Sequence[Any]]) -> None:
    """An INSERT of many rows at once: after each statement the thread waits for a busy reactor to let it go on, some 10 ms.

    (The reactor lets go for each system call, and has the interpreter again before the thread wakes.)
    """
    if insert(sql) is None:
        cursor.executemany(sql, rows)
        return
    first = 0
    while first < len(rows):
        page = min(PAGE, 1 << (len(rows) - first).bit_length() - 1)
        cursor.execute(_paged(sql, page), tuple(chain.from_iterable(rows[first : first + page])))
        first += page


@lru_cache(maxsize=200)
def _paged(sql: str, rows: int) -> str:
    statement = insert(sql)
    return statement.of(rows) if statement is not None else sql


def _limit(cursor: Transaction) -> None:
    """Let SQLite itself break off what runs too long: the asker's own limit would leave the thread busy."""
    until = time.monotonic() + STATEMENT_SECONDS
    cursor.connection.set_progress_handler(lambda: time.monotonic() > until, LOOK_EVERY)


def _checkpoint(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _close(pool: Any, lock: int | None) -> None:
    pool.close()
    if lock is not None:
        os.close(lock)
