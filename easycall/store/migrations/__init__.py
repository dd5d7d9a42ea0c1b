"""The schema and its way from any older version, by alembic and plain SQL.  Blocking: run it in a thread.

Each step is a module of ``versions/``; its SQL is understood by SQLite and PostgreSQL alike.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Collection
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

from alembic.command import downgrade as alembic_downgrade
from alembic.command import upgrade as alembic_upgrade
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool

__all__ = [
    "SchemaTooNew",
    "UnknownVersion",
    "back_up",
    "engine_of_postgresql",
    "engine_of_sqlite",
    "head",
    "move",
    "newer",
    "present",
    "unlike",
    "upgrade",
    "upgrade_postgresql",
    "upgrade_sqlite",
]


class SchemaTooNew(Exception):
    """The database was written by a newer easycall; this one would damage it."""


class UnknownVersion(Exception):
    """There is no such version of the schema; the text says which there are."""


def upgrade_sqlite(path: str) -> None:
    """Bring the schema of an SQLite file to this version, in one transaction, after a copy of an older one beside it.

    Raises SchemaTooNew; :class:`sqlalchemy.exc.DBAPIError` when the file cannot be read or written; :class:`sqlite3.Error`
    and OSError when it cannot be copied.
    """
    with engine_of_sqlite(path).begin() as connection:
        versions = present(connection)
        if versions and versions != (head(),) and not newer(versions):
            back_up(path, versions[0])
        upgrade(connection)


def upgrade_postgresql(connect: Callable[[], Any]) -> None:
    """Bring the schema of a PostgreSQL database to this version, in one transaction on a connection of psycopg2.

    Whoever calls it holds the lock of the database.  Raises SchemaTooNew and :class:`sqlalchemy.exc.DBAPIError`.
    """
    with engine_of_postgresql(connect).begin() as connection:
        upgrade(connection)


def engine_of_sqlite(path: str, *, reading: bool = False) -> Engine:
    """SQLAlchemy's way to an SQLite file.  ``reading``: beside somebody who writes."""
    engine = create_engine(URL.create("sqlite", database=path), poolclass=NullPool)
    # Python's sqlite3 begins no transaction before DDL.  We begin it by hand, so that a killed upgrade leaves no half of it.
    event.listen(engine, "connect", lambda raw, _: setattr(raw, "isolation_level", None))
    begin = "BEGIN" if reading else "BEGIN IMMEDIATE"
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine


def engine_of_postgresql(connect: Callable[[], Any]) -> Engine:
    """SQLAlchemy's way to what ``connect`` connects to with psycopg2."""
    return create_engine("postgresql+psycopg2://", creator=connect, poolclass=NullPool)


def back_up(path: str, version: str) -> Path:
    """Copy an SQLite file beside itself, with its version in the name, whole or not at all; nobody else may read it.

    Raises sqlite3.Error and OSError.
    """
    names = (f"{path}.{version}{f'-{number}' if number > 1 else ''}.backup" for number in count(1))
    target = next(Path(name) for name in names if not Path(name).exists())
    partial = target.with_name(f"{target.name}.partial")
    try:
        os.close(os.open(partial, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(partial)) as copy:
            source.backup(copy)
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.rename(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return target


def head() -> str:
    """The version of the schema that this easycall reads and writes."""
    return str(_known().get_current_head())


def present(connection: Connection) -> tuple[str, ...]:
    """The version of the schema in a database; empty when there is none."""
    return MigrationContext.configure(connection).get_current_heads()


def upgrade(connection: Connection) -> None:
    """Bring the schema to this version, in the transaction of ``connection``.  Raises SchemaTooNew."""
    if trouble := newer(present(connection)):
        raise SchemaTooNew(trouble)
    alembic_upgrade(_config(connection), "head")


def move(connection: Connection, version: str) -> None:
    """Bring the schema to any version, older ones too, in the transaction of ``connection``.

    Raises UnknownVersion, and SchemaTooNew.
    """
    known = [script.revision for script in reversed(list(_known().walk_revisions()))]
    if version not in known:
        raise UnknownVersion(f"there is no version {version}: this easycall knows {', '.join(known)}")
    versions = present(connection)
    if trouble := newer(versions):
        raise SchemaTooNew(trouble)
    if versions and known.index(version) < known.index(versions[0]):
        alembic_downgrade(_config(connection), version)
    else:
        alembic_upgrade(_config(connection), version)


def unlike(versions: Collection[str]) -> str:
    """What is to be done about a schema that is not of this version; empty: it is."""
    if trouble := newer(versions):
        return trouble
    if set(versions) != {head()}:
        return (
            f"its schema is version {', '.join(sorted(versions)) or 'unknown'}, this easycall reads version {head()}: "
            "start the daemon of this version once, which brings it up to date, or run easycall db upgrade"
        )
    return ""


def newer(versions: Collection[str]) -> str:
    """What is to be done about a schema that a newer easycall wrote; empty: none did."""
    strange = sorted(set(versions) - {script.revision for script in _known().walk_revisions()})
    if not strange:
        return ""
    return (
        f"its schema is version {', '.join(strange)}, this easycall knows versions up to {head()}: "
        "run the easycall that wrote it, or a newer one"
    )


def _known() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
