"""What an operator does with the database of a site by ``easycall db``.  Blocking: for the command line.

What changes it takes it for itself first, as a daemon does, and is one transaction.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from attrs import field, frozen
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, OperationalError

from easycall.ports import StoreUnavailable
from easycall.store import migrations
from easycall.store.carrying import Apart, Carried, carry_over, missing
from easycall.store.choice import SQLITE
from easycall.store.sqlite import take

__all__ = ["Moved", "Place"]


@frozen
class Moved:
    """What became of a database whose schema was brought to another version."""

    before: str
    """The version it had; empty: none."""
    copy: Path | None
    """Where an SQLite file was copied to."""
    carried: Carried


@frozen
class Place:
    """Where a database is.  Every method raises StoreUnavailable, with the reason in words."""

    url: str
    password: str = field(default="", repr=False)
    journal: Path | None = None
    """The folder of the journal's files."""
    known_by: Callable[[str], str] = str
    """The number a customer is known by, of the number as shown."""

    def __str__(self) -> str:
        return str(self.file or self.url)

    @property
    def file(self) -> Path | None:
        """Of an SQLite database."""
        return Path(self.url.removeprefix(SQLITE)) if self.url.startswith(SQLITE) else None

    @contextmanager
    def alone(self, *, make: bool = False) -> Iterator[Connection]:
        """The database in one transaction, with nobody else in it; an SQLite file is made only if ``make`` says so."""
        with ExitStack() as held, self._in_words():
            if self.file is not None:
                if not make:
                    self._must_be_there(self.file)
                with self._files_in_words():
                    held.callback(os.close, take(str(self.file)))
                yield held.enter_context(migrations.engine_of_sqlite(str(self.file)).begin())
            else:
                connection = held.enter_context(migrations.engine_of_postgresql(self._connect).begin())
                self._lock(connection)
                yield connection

    @contextmanager
    def beside(self) -> Iterator[Connection]:
        """The database as it was at one moment, for reading, beside a daemon that may write on."""
        with ExitStack() as held, self._in_words():
            if self.file is not None:
                self._must_be_there(self.file)
                connection = held.enter_context(migrations.engine_of_sqlite(str(self.file), reading=True).connect())
            else:
                connection = held.enter_context(migrations.engine_of_postgresql(self._connect).connect())
                connection = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            yield connection

    def check(self) -> str:
        """The version of its schema, which is this easycall's, and nothing of an SQLite file is damaged."""
        with self.beside() as connection:
            versions = migrations.present(connection)
            if trouble := migrations.unlike(versions):
                raise self._unavailable(trouble)
            if self.file is not None:
                damage = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA quick_check(5)")]
                if damage != ["ok"]:
                    raise self._unavailable(f"the file is damaged: {'; '.join(damage)}")
        return versions[0]

    def upgrade(self) -> Moved:
        """Bring its schema to this version, and carry over what only the journal's files have."""
        return self._moved(migrations.head())

    def downgrade(self, version: str) -> Moved:
        """Bring its schema to an older version, and lose what that has no place for.

        What only the journal's files have is carried over before: an older easycall may not understand it.
        """
        return self._moved(version)

    def carry_over(self, connection: Connection) -> Carried:
        """Give the database, whose schema is this version's, what only the journal's files have."""
        if self.journal is None:
            return Carried()
        try:
            with self._files_in_words():
                return carry_over(self.journal, connection, self.known_by)
        except Apart as why:
            raise self._unavailable(str(why)) from why

    def _moved(self, version: str) -> Moved:
        with self.alone() as connection:
            before = "".join(migrations.present(connection))
            copy = None
            if self.file is not None and before not in ("", version) and not migrations.newer([before]):
                with self._files_in_words():
                    copy = migrations.back_up(str(self.file), before)
            carried = Carried()
            if before == migrations.head():
                carried = self.carry_over(connection)
            elif before and version != migrations.head():
                self._nothing_waits(connection, before)
            migrations.move(connection, version)
            if version == migrations.head() != before:
                carried = self.carry_over(connection)
        return Moved(before, copy, carried)

    def _nothing_waits(self, connection: Connection, version: str) -> None:
        """Raises StoreUnavailable when the journal's files have what the database has not."""
        if self.journal is None:
            return
        with self._files_in_words():
            waiting = missing(self.journal, connection)
        if waiting:
            raise self._unavailable(
                f"{self.journal} has {waiting} events that the database does not have, whose schema is version {version}: "
                "run easycall db upgrade before, which carries them over"
            )

    def _connect(self) -> object:
        # Imported here: who uses SQLite needs no libpq.
        from easycall.store.postgres.address import Address

        return Address(self.url, self.password).connect()

    def _lock(self, connection: Connection) -> None:
        from easycall.store.postgres.address import LOCK

        try:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        except OperationalError as why:
            if getattr(why.orig, "pgcode", "") != "55P03":  # lock_not_available
                raise
            raise self._unavailable("another easycall uses it: stop the daemon first") from why

    def _must_be_there(self, file: Path) -> None:
        if not file.exists():
            raise self._unavailable("it is not there: the daemon makes it when it starts first; see node.data and store.url")

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as why:
            raise self._unavailable(str(why.orig).partition("\n")[0]) from why
        except (sqlite3.Error, migrations.SchemaTooNew, migrations.UnknownVersion) as why:
            raise self._unavailable(str(why)) from why

    @contextmanager
    def _files_in_words(self) -> Iterator[None]:
        """Beside :meth:`_in_words`, and not in it: there the faults of other files pass, too."""
        try:
            yield
        except OSError as why:
            raise self._unavailable(str(why)) from why

    def _unavailable(self, why: str) -> StoreUnavailable:
        return StoreUnavailable(f"database {self}: {why}")
