"""The schema and its way from any older version, by alembic and plain SQL.  Blocking: run it in a thread.

Each step is a module of ``versions/``; its SQL is understood by SQLite and PostgreSQL alike.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from alembic.command import upgrade as alembic_upgrade
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, create_engine, event
from sqlalchemy.pool import NullPool

__all__ = ["SchemaTooNew", "unlike", "upgrade_postgresql", "upgrade_sqlite"]


class SchemaTooNew(Exception):
    """The database was written by a newer easycall; this one would damage it."""


def upgrade_sqlite(path: str) -> None:
    """Bring the schema of an SQLite file to this version, in one transaction.

    Raises SchemaTooNew, and :class:`sqlalchemy.exc.DBAPIError` when the file cannot be read or written.
    """
    engine = create_engine(URL.create("sqlite", database=path), poolclass=NullPool)
    # Python's sqlite3 begins no transaction before DDL.  We begin it by hand, so that a killed upgrade leaves no half of it.
    event.listen(engine, "connect", lambda raw, _: setattr(raw, "isolation_level", None))
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    with engine.begin() as connection:
        _upgrade(connection)


def upgrade_postgresql(connect: Callable[[], Any]) -> None:
    """Bring the schema of a PostgreSQL database to this version, in one transaction on a connection of psycopg2.

    Whoever calls it holds the lock of the database.  Raises as :func:`upgrade_sqlite`.
    """
    engine = create_engine("postgresql+psycopg2://", creator=connect, poolclass=NullPool)
    with engine.begin() as connection:
        _upgrade(connection)


def unlike(present: Collection[str]) -> str:
    """What is to be done about a schema that is not of this version; empty: it is."""
    known = ScriptDirectory.from_config(_config())
    if newer := _newer(known, present):
        return newer
    if set(present) != set(known.get_heads()):
        return (
            f"its schema is version {', '.join(sorted(present)) or 'unknown'}, this easycall reads version "
            f"{known.get_current_head()}: start the daemon of this version once, which brings it up to date"
        )
    return ""


def _upgrade(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    present = MigrationContext.configure(connection).get_current_heads()
    if newer := _newer(ScriptDirectory.from_config(config), present):
        raise SchemaTooNew(newer)
    alembic_upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config


def _newer(known: ScriptDirectory, present: Collection[str]) -> str:
    """What is to be done about a schema that a newer easycall wrote; empty: none did."""
    newer = sorted(set(present) - {script.revision for script in known.walk_revisions()})
    if not newer:
        return ""
    return (
        f"its schema is version {', '.join(newer)}, this easycall knows versions up to {known.get_current_head()}: "
        "run the easycall that wrote it, or a newer one"
    )
