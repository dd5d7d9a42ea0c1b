"""The one place where the URL of the configuration chooses the kind of database."""

from __future__ import annotations

from typing import Any, Protocol

from easycall.ports import Database

__all__ = ["SQLITE", "SiteDatabase", "database"]

SQLITE = "sqlite:///"
"""How the URL of an SQLite file begins."""


class SiteDatabase(Database, Protocol):
    """The database of a daemon, opened before its first question and closed after its last."""

    async def open(self) -> None:
        """Connect, and create or upgrade the schema; may be tried again.

        Raises, with the reason in words, StoreUnavailable while it is away, and StoreUnusable when only the operator
        mends it.
        """

    async def close(self) -> None:
        """Finish what was asked and let go.  A second time does nothing."""


def database(url: str, password: str, reactor: Any) -> SiteDatabase:
    """The database of a URL, not opened.  ``password``: PostgreSQL's."""
    if url.startswith(SQLITE):
        from easycall.store.sqlite import SQLite

        return SQLite(url.removeprefix(SQLITE), reactor)
    # Imported here: who uses SQLite needs no libpq.
    from easycall.store.postgres import PostgreSQL
    from easycall.store.postgres.address import Address

    return PostgreSQL(Address(url, password), reactor)
