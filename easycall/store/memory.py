"""A database in memory, for a daemon in virtual time: at once, without threads, and nothing of it is kept."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from easycall.ports import StatementRefused, StoreUnavailable

__all__ = ["MemoryDatabase"]


class MemoryDatabase:
    """The :class:`~easycall.ports.Database` with the schema of :class:`~easycall.store.sqlite.SQLite`.

    It is unavailable only while it is not open.
    """

    def __init__(self) -> None:
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Make it, empty, by the same migrations."""
        from easycall.store import migrations  # here: alembic takes a while to load

        connection = sqlite3.connect(":memory:", isolation_level=None)
        with TemporaryDirectory() as folder:  # migrations want a file
            path = str(Path(folder) / "easycall.db")
            migrations.upgrade_sqlite(path)
            made = sqlite3.connect(path)
            made.backup(connection)
            made.close()
        connection.execute("PRAGMA foreign_keys=ON")
        self._connection = connection

    async def close(self) -> None:
        """Everything is gone.  A second time does nothing."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    async def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of one reading statement.  Raises StoreUnavailable and StatementRefused."""
        try:
            return self._open.execute(sql, values).fetchall()
        except sqlite3.Error as why:
            raise StatementRefused(str(why)) from why

    async def transact(self, *statements: tuple[str, Sequence[Sequence[Any]]]) -> None:
        """Run each statement for each of its rows of values, all or nothing.  Raises as :meth:`query`."""
        try:
            with _transaction(self._open) as connection:
                for sql, rows in statements:
                    if rows:
                        connection.executemany(sql, rows)
        except sqlite3.Error as why:
            raise StatementRefused(str(why)) from why

    async def clear(self) -> None:
        """Forget every row, so that a long life fits into memory.  Raises StoreUnavailable."""
        with _transaction(self._open) as connection:
            for table in (
                "wrap_ups",
                "transactions",
                "recordings",
                "segments",
                "contacts",
                "events",
                "do_not_call",
                "agent_profiles",
                "requests",
                "callbacks",
            ):
                connection.execute(f"DELETE FROM {table}")  # noqa: S608 - constants only

    async def forget(self, before: float) -> None:
        """Forget what happened, and the contacts and callbacks that ended, before a moment.  Raises StoreUnavailable."""
        with _transaction(self._open) as connection:
            connection.execute(
                "DELETE FROM recordings WHERE contact IN (SELECT id FROM contacts WHERE ended < ?)", (before,)
            )
            connection.execute("DELETE FROM contacts WHERE ended < ?", (before,))
            connection.execute("DELETE FROM callbacks WHERE ended > 0 AND ended < ?", (before,))
            connection.execute("DELETE FROM events WHERE at < ?", (before,))

    @property
    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreUnavailable("the database in memory is not open")
        return self._connection


def _transaction(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Begin a transaction; the connection's own ``with`` ends it."""
    connection.execute("BEGIN")
    return connection
