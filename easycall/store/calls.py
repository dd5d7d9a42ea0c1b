"""The numbers that were dialled, from the events in the database: SQL that SQLite and PostgreSQL both understand."""

from __future__ import annotations

from easycall.events import CallDialled
from easycall.ports import Database
from easycall.stats.codec import decode

__all__ = ["CallHistory"]

# The kind stands in the text, not in a value: only then the index of these events is used.
DIALLED = "SELECT body FROM events WHERE kind = 'call.dialled' AND at > ? ORDER BY at DESC LIMIT ?"


class CallHistory:
    """A :class:`easycall.outbound.dialling.History` in a database.  Every method raises StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def dialled(self, since: float, most: int) -> list[CallDialled]:
        """The latest numbers dialled after ``since``, ``most`` at most, the oldest first."""
        rows = await self._database.query(DIALLED, since, most)
        events = (decode(CallDialled.kind, body) for (body,) in reversed(rows))
        return [event for event in events if isinstance(event, CallDialled)]
