"""A whole database as one file, to move a site from one kind of database to the other.  Blocking: for the command line.

The file is gzip over lines of JSON: a head (what it is, the version of the schema, how many rows each table has), then for
each table a line with its name and columns and one for each row, then an end, without which the file is not whole.
"""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any

from attrs import evolve, field, frozen
from sqlalchemy import Connection, MetaData, Table, func, insert, select

from easycall.store import migrations
from easycall.store.carrying import Carried
from easycall.store.upkeep import Place

__all__ = ["Moved", "NotMoved", "export_to", "import_from"]

FORMAT = "easycall database 1"
END = "end"
PAGE = 500
LONGEST_LINE = 64 * 2**20
OURS = "alembic_version"
"""The table in which the schema's version stands: not the site's."""

Tell = Callable[[str, int, int], None]
"""A table, and how many rows of how many have gone over in all."""


class NotMoved(Exception):
    """Nothing was moved, for the reason in the text."""


@frozen
class Moved:
    """What went over."""

    version: str
    rows: dict[str, int]
    """Table -> how many."""
    carried: Carried = field(factory=Carried)
    """From the journal's files, into a database that was filled."""


def export_to(file: Path, place: Place, tell: Tell) -> Moved:
    """Write all of a database, as it is at one moment, into a new file that nobody else may read.

    Raises NotMoved and StoreUnavailable; no file is left then.
    """
    if file.exists():
        raise NotMoved(f"{file} is there already: name another file, or remove it")
    partial = file.with_name(f"{file.name}.partial")
    try:
        with place.beside() as connection:
            if trouble := migrations.unlike(migrations.present(connection)):
                raise NotMoved(f"database {place}: {trouble}")
            handle = os.open(partial, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "wb") as raw:
                with gzip.open(raw, "wt", encoding="utf-8", compresslevel=6) as lines:
                    moved = _write(lines, connection, tell)
                raw.flush()
                os.fsync(raw.fileno())
        partial.rename(file)
    except OSError as why:
        raise NotMoved(f"{file} cannot be written: {why.strerror or why}") from why
    finally:
        partial.unlink(missing_ok=True)
    return moved


def import_from(file: Path, place: Place, tell: Tell) -> Moved:
    """Fill an empty database with what a file holds, and bring its schema to this version: all or nothing.

    What happened since the file was written, and stands in the journal's files, is carried over.

    Raises NotMoved and StoreUnavailable.
    """
    try:
        with gzip.open(file, "rb") as raw:
            lines = _lines(raw)
            head = _head(lines)
            with place.alone(make=True) as connection:
                try:
                    _prepare(connection, head.version)
                    _read(lines, head, connection, tell)
                    migrations.upgrade(connection)
                    carried = place.carry_over(connection)
                except (NotMoved, migrations.SchemaTooNew) as why:
                    raise NotMoved(f"database {place}: {why}") from why
    except (gzip.BadGzipFile, EOFError, zlib.error, UnicodeDecodeError) as why:
        raise NotMoved(f"{file} is no export of easycall, or not a whole one: {why}") from why
    except _Strange as why:
        raise NotMoved(f"{file} is no export of easycall, or not a whole one: {why}") from why
    except OSError as why:
        raise NotMoved(f"{file} cannot be read: {why.strerror or why}") from why
    return evolve(head, carried=carried)


class _Strange(Exception):
    """A line that is not what comes next; the text says which and never what is in it."""


# Out


def _write(lines: IO[str], connection: Connection, tell: Tell) -> Moved:
    tables = _tables(connection)
    rows = {table.name: _count(connection, table) for table in tables}
    moved = Moved("".join(migrations.present(connection)), rows)
    _put(lines, {"file": FORMAT, "version": moved.version, "rows": rows})
    done, total = 0, sum(rows.values())
    for table in tables:
        _put(lines, {"table": table.name, "columns": [column.name for column in table.columns]})
        ordered = select(table).order_by(*table.primary_key.columns).execution_options(yield_per=PAGE)
        for page in connection.execute(ordered).partitions():
            lines.writelines(_line(list(row)) for row in page)
            done += len(page)
            tell(table.name, done, total)
    _put(lines, {"table": END})
    return moved


def _put(lines: IO[str], value: Any) -> None:
    lines.write(_line(value))


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"


# In


def _lines(raw: gzip.GzipFile) -> Iterator[Any]:
    number = 0
    while line := raw.readline(LONGEST_LINE):
        number += 1
        try:
            yield json.loads(line)
        except ValueError:
            raise _Strange(f"line {number} is not JSON") from None
    raise _Strange("its end is missing")


def _head(lines: Iterator[Any]) -> Moved:
    head = next(lines)
    if not isinstance(head, dict) or head.get("file") != FORMAT:
        raise _Strange("its first line does not say so")
    version, rows = head.get("version"), head.get("rows")
    if not isinstance(version, str) or not isinstance(rows, dict) or not all(type(n) is int for n in rows.values()):
        raise _Strange("its first line says neither version nor rows")
    if trouble := migrations.newer([version]):
        raise NotMoved(f"it was written by a newer easycall: {trouble}")
    return Moved(version, rows)


def _prepare(connection: Connection, version: str) -> None:
    """Bring an empty database to the version of the file: what is behind it comes when the rows are in."""
    for table in _tables(connection):
        if connection.execute(select(table).limit(1)).first() is not None:
            raise NotMoved(f"it is not empty ({table.name} has rows): give an empty one")
    migrations.move(connection, version)


def _read(lines: Iterator[Any], head: Moved, connection: Connection, tell: Tell) -> None:
    tables = {table.name: table for table in _tables(connection)}
    if set(tables) != set(head.rows):
        raise _Strange(f"its tables are not those of version {head.version}")
    done, total = 0, sum(head.rows.values())
    line = next(lines)
    while True:
        name = line.get("table") if isinstance(line, dict) else None
        if name == END:
            break
        if name not in tables:
            raise _Strange("there is something else where a table should begin")
        table, columns = tables.pop(name), line.get("columns")
        if columns != [column.name for column in table.columns] and set(columns or ()) != {c.name for c in table.columns}:
            raise _Strange(f"the columns of {name} are not those of version {head.version}")
        rows = _Rows(lines, name, len(columns))
        for page in rows.pages():
            _insert(connection, table, columns, page)
            done += len(page)
            tell(name, done, total)
        if _count(connection, table) != head.rows[name]:
            raise _Strange(f"{name} has {_count(connection, table)} rows, and should have {head.rows[name]}")
        line = rows.behind
    if tables:
        raise _Strange(f"{', '.join(sorted(tables))} is missing")


class _Rows:
    """The rows of one table, up to the first line that is none."""

    def __init__(self, lines: Iterator[Any], table: str, width: int) -> None:
        self._lines, self._table, self._width = lines, table, width
        self.behind: Any = None

    def pages(self) -> Iterator[list[Any]]:
        rows = iter(self)
        while page := list(islice(rows, PAGE)):
            yield page

    def __iter__(self) -> Iterator[Any]:
        for line in self._lines:
            if not isinstance(line, list):
                self.behind = line
                return
            if len(line) != self._width or not all(isinstance(value, str | int | float | None) for value in line):
                raise _Strange(f"a row of {self._table} is not one")
            yield line


def _insert(connection: Connection, table: Table, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    connection.execute(insert(table), [dict(zip(columns, _storable(connection, row), strict=True)) for row in rows])


def _storable(connection: Connection, row: Sequence[Any]) -> Sequence[Any]:
    if connection.dialect.name == "sqlite":
        return row
    from easycall.store.postgres.connection import storable

    return storable(row)


def _tables(connection: Connection) -> list[Table]:
    """The site's tables, each behind those it refers to."""
    schema = MetaData()
    schema.reflect(connection)
    return [table for table in schema.sorted_tables if table.name != OURS]


def _count(connection: Connection, table: Table) -> int:
    return int(connection.execute(select(func.count()).select_from(table)).scalar_one())
