"""The schema and its way from any older version, by alembic and plain SQL.  Blocking: run it in a thread.

Each step is a module of ``versions/``; its SQL is understood by SQLite and PostgreSQL alike.
"""

from __future__ import annotations

from pathlib import Path

from alembic.command import upgrade as alembic_upgrade
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, create_engine, event
from sqlalchemy.pool import NullPool

__all__ = ["SchemaTooNew", "upgrade_sqlite"]


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


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    known = ScriptDirectory.from_config(config)
    present = MigrationContext.configure(connection).get_current_heads()
    newer = sorted(set(present) - {script.revision for script in known.walk_revisions()})
    if newer:
        raise SchemaTooNew(
            f"its schema is version {', '.join(newer)}, this easycall knows versions up to {known.get_current_head()}: "
            "run the easycall that wrote it, or a newer one"
        )
    alembic_upgrade(config, "head")
