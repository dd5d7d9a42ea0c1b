"""A damaged SQLite file made anew of what can be read of it, and of the journal's files.  Blocking: for the command line.

The damaged file is kept, under another name.  What cannot be read is passed over, row by row if need be, and named.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from itertools import count
from pathlib import Path
from typing import Any

from attrs import field, frozen
from sqlalchemy import Connection

from easycall.events import NumberListed, NumberUnlisted
from easycall.ports import StoreUnavailable, StoreUnusable
from easycall.stats.codec import decode
from easycall.store import carrying, migrations
from easycall.store.sqlite import take

__all__ = ["Rebuilt", "rebuild"]

PAGE = 500
LAST_ROW = 2**63 - 1
ORDER = ("alembic_version", "events", "contacts")
"""Tables that others refer to come first."""
ORPHANS = ("segments", "recordings")

Tell = Callable[[str], None]


@frozen
class Rebuilt:
    """What became of it."""

    kept: Path
    """The damaged file."""
    rows: dict[str, int]
    """Table -> rows that could be read."""
    lost: list[str]
    """What could not, in words."""
    carried: carrying.Carried
    recorded: int
    """Records that were missing and were made of their contacts' events."""
    listed: int
    """Numbers that are on the do-not-call list again, as events tell of them."""


def rebuild(file: Path, journal: Path, known_by: Callable[[str], str] = str) -> Rebuilt:
    """Put a sound database in the place of a damaged one.  Raises StoreUnavailable, and then nothing was changed."""
    if not file.exists():
        raise StoreUnusable(f"database {file}: it is not there")
    try:
        lock = take(str(file))
        try:
            return _rebuilt(file, journal, known_by)
        finally:
            os.close(lock)
    except (OSError, sqlite3.Error, carrying.Apart, migrations.SchemaTooNew) as why:
        raise StoreUnavailable(f"database {file}: it cannot be rebuilt: {why}") from why


def _rebuilt(file: Path, journal: Path, known_by: Callable[[str], str]) -> Rebuilt:
    kept = _keep(file)
    made = file.with_name(f"{file.name}.rebuilt")
    for path in _with_log(made):
        path.unlink(missing_ok=True)
    os.close(os.open(made, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    try:
        with closing(_Damaged(kept)) as damaged, migrations.engine_of_sqlite(str(made)).begin() as connection:
            version = damaged.version()
            if trouble := migrations.newer([version]):
                raise migrations.SchemaTooNew(trouble)
            migrations.move(connection, version)
            rows = {table: _take(damaged, connection, table, columns) for table, columns in _tables(connection)}
            migrations.upgrade(connection)
            carried = carrying.carry_over(journal, connection, known_by)
            recorded = carrying.recorded(connection, known_by)
            listed = _listed_again(connection) if any(one.startswith("do_not_call:") for one in damaged.lost) else 0
            for table in ORPHANS:
                connection.exec_driver_sql(f"DELETE FROM {table} WHERE contact NOT IN (SELECT id FROM contacts)")  # noqa: S608
        with made.open("rb") as written:
            os.fsync(written.fileno())
        for log in _with_log(file)[1:]:  # of the damaged one: in it a new file would be damaged again
            log.unlink(missing_ok=True)
        made.replace(file)
    finally:
        for path in _with_log(made):
            path.unlink(missing_ok=True)
    return Rebuilt(kept, rows, damaged.lost, carried, recorded, listed)


def _listed_again(connection: Connection) -> int:
    """Put numbers back on the do-not-call list whose latest event says that they are on it; how many were missing.

    It is better to call somebody too seldom: one whose row was lost must not be called for that.
    """
    latest: dict[str, NumberListed | NumberUnlisted] = {}
    told = "SELECT kind, body FROM events WHERE kind IN (?, ?) ORDER BY seq"
    for kind, body in connection.exec_driver_sql(told, (NumberListed.kind, NumberUnlisted.kind)):
        event = decode(kind, body)
        if isinstance(event, NumberListed | NumberUnlisted):
            latest[event.number] = event
    put = "INSERT OR IGNORE INTO do_not_call (number, reason, added, added_by) VALUES (?, ?, ?, ?)"
    rows = [(one.number, one.reason, one.at, one.by) for one in latest.values() if isinstance(one, NumberListed)]
    return sum(connection.exec_driver_sql(put, row).rowcount for row in rows)


def _keep(file: Path) -> Path:
    """Copy the damaged file, with its write-ahead log, beside itself."""
    names = (f"{file.name}.damaged{f'-{number}' if number > 1 else ''}" for number in count(1))
    kept = next(path for path in map(file.with_name, names) if not path.exists())
    for source, target in zip(_with_log(file), _with_log(kept), strict=True):
        with suppress(FileNotFoundError):
            shutil.copyfile(source, target)
            target.chmod(0o600)
    return kept


def _with_log(file: Path) -> list[Path]:
    return [file, file.with_name(f"{file.name}-wal"), file.with_name(f"{file.name}-shm")]


def _tables(connection: Connection) -> list[tuple[str, list[str]]]:
    """The site's tables and their columns."""
    found = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    names = sorted((name for (name,) in found), key=lambda name: (name not in ORDER, name))
    columns = {name: [row[1] for row in connection.exec_driver_sql(f"PRAGMA table_info({name})")] for name in names}
    return [(name, columns[name]) for name in names if name != "alembic_version"]


def _take(damaged: _Damaged, connection: Connection, table: str, columns: Sequence[str]) -> int:
    """Take over what can be read of a table; how many rows.  One that cannot be a row of ours is left out."""
    taken = 0
    marks = ", ".join("?" for _ in columns)
    put = f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608
    for page in damaged.pages(table, columns):
        taken += connection.exec_driver_sql(put, page).rowcount
    return taken


@frozen(eq=False)
class _Damaged:
    """The damaged file."""

    path: Path
    lost: list[str] = field(factory=list)
    _connection: sqlite3.Connection = field(init=False)

    @_connection.default
    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None)
        connection.text_factory = lambda text: text.decode(errors="replace")
        return connection

    def close(self) -> None:
        self._connection.close()

    def version(self) -> str:
        """Of its schema; this easycall's when nobody can tell."""
        try:
            [(version,)] = self._connection.execute("SELECT version_num FROM alembic_version").fetchall()
            return str(version)
        except (sqlite3.DatabaseError, ValueError) as why:
            self.lost.append(f"the version of its schema ({why}): taken for {migrations.head()}")
            return migrations.head()

    def pages(self, table: str, columns: Sequence[str]) -> Iterator[list[tuple[Any, ...]]]:
        """The rows of a table that can be read, some at a time; the others are named in :attr:`lost`."""
        sql = f"SELECT rowid, {', '.join(columns)} FROM {table} NOT INDEXED WHERE rowid > ? ORDER BY rowid LIMIT ?"  # noqa: S608
        behind, size = 0, PAGE
        while True:
            try:
                rows = self._connection.execute(sql, (behind, size)).fetchall()
            except sqlite3.DatabaseError as why:
                if size > 1:
                    size = max(1, size // 4)
                    continue
                following = self._following(sql, behind)
                if following is None:
                    self.lost.append(f"{table}: everything behind row {behind:,} ({why})")
                    return
                self.lost.append(
                    f"{table}: rows {behind + 1:,} to {following - 1:,}, or those of them that were there ({why})"
                )
                behind, size = following - 1, PAGE
                continue
            if not rows:
                return
            yield [row[1:] for row in rows]
            behind, size = rows[-1][0], min(PAGE, 2 * size)

    def _following(self, sql: str, behind: int) -> int | None:
        """The nearest row behind a damaged place that can be read; None: there is none."""
        bad, step = behind, 1
        good = self._row(sql, behind + step)
        while good is None and bad + step < LAST_ROW:
            bad, step = bad + step, 2 * step
            good = self._row(sql, min(bad + step, LAST_ROW))
        if good is None:
            return None
        reached = bad + step
        while reached - bad > 1:
            middle = (bad + reached) // 2
            found = self._row(sql, middle)
            if found is None:
                bad = middle
            else:
                good, reached = found, middle
        return good or None

    def _row(self, sql: str, behind: int) -> int | None:
        """The first row behind another; 0: there is none, None: it cannot be read."""
        try:
            rows = self._connection.execute(sql, (behind, 1)).fetchall()
        except sqlite3.DatabaseError:
            return None
        return int(rows[0][0]) if rows else 0
