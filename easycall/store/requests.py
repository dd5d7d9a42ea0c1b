"""What is asked of agents without a call, in the database: its SQL, understood by SQLite and PostgreSQL alike."""

from __future__ import annotations

from typing import Any

import msgspec

from easycall.model import Request
from easycall.policy import Channel
from easycall.ports import Database

__all__ = ["RequestShelf"]

COLUMNS = "id, channel, queue, since, created, number, address, name, skills, priority_seconds, data, about, created_by"
ALL = f"SELECT {COLUMNS} FROM requests ORDER BY since, id"  # noqa: S608 - constants only
PUT = (
    f"INSERT INTO requests ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) "  # noqa: S608 - constants only
    "DO UPDATE SET queue = excluded.queue, since = excluded.since, data = excluded.data"
)
REMOVE = "DELETE FROM requests WHERE id = ?"
# A contact that has its record has ended, though its request could not be removed then.
CLEAN = "DELETE FROM requests WHERE id IN (SELECT id FROM contacts)"

_DATA = msgspec.json.Decoder(dict[str, str])


class RequestShelf:
    """A :class:`easycall.work.requests.Shelf` in a database.  Every method raises StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def clean(self) -> None:
        """Forget those whose contact has ended."""
        await self._database.transact((CLEAN, [()]))

    async def all(self) -> list[Request]:
        """Those that are not done, who waits longest first."""
        return [_request(row) for row in await self._database.query(ALL)]

    async def put(self, request: Request) -> None:
        """Store one, in the place of an older form of it."""
        data = msgspec.json.encode(request.data).decode()
        where = request.id, request.channel.value, request.queue, request.since, request.created
        who = request.number, request.address, request.name, request.skills, request.priority_seconds
        await self._database.transact((PUT, [(*where, *who, data, request.about, request.created_by)]))

    async def remove(self, request: str) -> None:
        """Forget one."""
        await self._database.transact((REMOVE, [(request,)]))


def _request(row: tuple[Any, ...]) -> Request:
    values = dict(zip(COLUMNS.split(", "), row, strict=True))
    values["channel"] = Channel(values["channel"])
    values["data"] = _DATA.decode(values["data"])
    return Request(**values)
