"""Whether a database is ours to use: nobody else has it, it takes what we write, and its schema is of today."""

from __future__ import annotations

import psycopg2

from easycall.store.postgres.address import LOCK, Address, refusal
from easycall.store.postgres.connection import Connection

__all__ = ["Wrong", "check", "lock", "migrate"]


class Wrong(Exception):
    """We do not use this database; the text says why."""


async def lock(connection: Connection) -> tuple[str, ...]:
    """Take the database for us alone, for as long as the connection lasts; the versions of the schema that is there."""
    try:
        await connection.rows("SELECT pg_advisory_lock(?)", (LOCK,))
    except psycopg2.errors.LockNotAvailable:
        raise Wrong("another easycall uses it") from None
    [(made,)] = await connection.rows("SELECT to_regclass('alembic_version') IS NOT NULL", ())
    versions = await connection.rows("SELECT version_num FROM alembic_version", ()) if made else []
    return tuple(version for (version,) in versions)


async def check(connection: Connection) -> None:
    """Whether what is behind the connection takes what we write."""
    [(encoding, follows)] = await connection.rows("SELECT current_setting('server_encoding'), pg_is_in_recovery()", ())
    if encoding != "UTF8":
        raise Wrong(f"its encoding is {encoding}: make it with ENCODING 'UTF8' TEMPLATE template0")
    if follows:
        raise Wrong("it is a standby, which takes nothing: give the address of the primary")


def migrate(address: Address, versions: tuple[str, ...]) -> None:
    """Bring the schema up to date, which has these versions.  Blocks.  Raises Wrong, and psycopg2.Error of the server."""
    # Imported here: alembic and SQLAlchemy take a while to load, and only the thread needs them.
    from sqlalchemy.exc import DBAPIError

    from easycall.store import migrations

    if versions == (migrations.head(),):
        return
    try:
        migrations.upgrade_postgresql(address.connect)
    except DBAPIError as why:
        if isinstance(why.orig, psycopg2.OperationalError):  # the server went away
            raise why.orig from why
        raise Wrong(refusal(why.orig or why)) from why
    except migrations.SchemaTooNew as why:
        raise Wrong(str(why)) from why
