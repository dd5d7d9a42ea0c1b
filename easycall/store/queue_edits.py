"""Queues whose routing was changed, in the database: its SQL, understood by SQLite and PostgreSQL alike."""

from __future__ import annotations

from typing import Any

import msgspec

from easycall.model import QueueEdit
from easycall.ports import Database

__all__ = ["QueueEditShelf"]

COLUMNS = "queue, changed, at, changed_by"
ALL = f"SELECT {COLUMNS} FROM queue_edits ORDER BY queue"  # noqa: S608 - constants only
PUT = (
    f"INSERT INTO queue_edits ({COLUMNS}) VALUES (?, ?, ?, ?) ON CONFLICT (queue) "  # noqa: S608 - constants only
    "DO UPDATE SET changed = excluded.changed, at = excluded.at, changed_by = excluded.changed_by"
)
REMOVE = "DELETE FROM queue_edits WHERE queue = ?"

_CHANGED = msgspec.json.Decoder(dict[str, Any])


class QueueEditShelf:
    """A :class:`easycall.acd.queue_edits.Shelf` in a database.  Every method raises StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> list[QueueEdit]:
        """Those of every queue."""
        rows = await self._database.query(ALL)
        return [QueueEdit(queue, _CHANGED.decode(changed), *who) for queue, changed, *who in rows]

    async def put(self, edit: QueueEdit) -> None:
        """Store those of a queue, in the place of older ones."""
        row = edit.queue, msgspec.json.encode(edit.changed).decode(), edit.at, edit.by
        await self._database.transact((PUT, [row]))

    async def remove(self, queue: str) -> None:
        """Forget those of a queue."""
        await self._database.transact((REMOVE, [(queue,)]))
