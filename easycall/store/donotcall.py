"""The numbers that are not called, in the database: all its SQL, understood by SQLite and PostgreSQL alike."""

from __future__ import annotations

from easycall.outbound.donotcall import Entry
from easycall.ports import Database

__all__ = ["DoNotCallShelf"]

COLUMNS = "number, reason, added, added_by"
ALL = f"SELECT {COLUMNS} FROM do_not_call ORDER BY added, number"  # noqa: S608 - constants only
PUT = (
    f"INSERT INTO do_not_call ({COLUMNS}) VALUES (?, ?, ?, ?) ON CONFLICT (number) "  # noqa: S608 - constants only
    "DO UPDATE SET reason = excluded.reason, added = excluded.added, added_by = excluded.added_by"
)
REMOVE = "DELETE FROM do_not_call WHERE number = ?"


class DoNotCallShelf:
    """A :class:`easycall.outbound.donotcall.Shelf` in a database.  Every method raises StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> list[Entry]:
        """Everything on the list, the oldest first."""
        return [Entry(*row) for row in await self._database.query(ALL)]

    async def put(self, entry: Entry) -> None:
        """Store one, in the place of an older one of that number."""
        await self._database.transact((PUT, [(entry.number, entry.reason, entry.added, entry.added_by)]))

    async def remove(self, number: str) -> None:
        """Forget one."""
        await self._database.transact((REMOVE, [(number,)]))
