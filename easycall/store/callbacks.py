"""Who is to be called back, in the database: its SQL, understood by SQLite and PostgreSQL alike."""

from __future__ import annotations

from typing import Any

import msgspec

from easycall.callback.shelf import Filter, Taken
from easycall.model import Attempt, Callback, CallbackSource, CallbackState
from easycall.ports import Database, StatementRefused

__all__ = ["COLUMNS", "CallbackShelf", "callback_of"]

COLUMNS = (
    "id, queue, number, source, created, due, expires, state, since, contact, session, agent, name, zone, skills, "
    "priority_seconds, reason, waited, answers, data, created_by, attempts, escalated, ended, why"
)
_NAMES = COLUMNS.split(", ")
OPEN = f"SELECT {COLUMNS} FROM callbacks WHERE ended = 0 ORDER BY created, id"  # noqa: S608 - constants only
ONE = f"SELECT {COLUMNS} FROM callbacks WHERE id = ?"  # noqa: S608
ASKED = "SELECT count(*) FROM callbacks WHERE number = ? AND created > ?"
OTHER = "SELECT id FROM callbacks WHERE queue = ? AND number = ? AND ended = 0 AND id <> ?"
PUT = (
    f"INSERT INTO callbacks ({COLUMNS}) VALUES ({', '.join('?' * len(_NAMES))}) ON CONFLICT (id) "  # noqa: S608
    f"DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _NAMES[1:])}"
)
TRIES = 3
"""As often it is stored when the one that was open in its place had ended when it was looked for."""

_TEXTS = msgspec.json.Decoder(dict[str, str])
_ATTEMPTS = msgspec.json.Decoder(tuple[Attempt, ...])


class CallbackShelf:
    """A :class:`easycall.callback.shelf.Shelf` in a database.  Every method raises StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self) -> list[Callback]:
        """Those in which something is still to be done, the oldest first."""
        return [callback_of(row) for row in await self._database.query(OPEN)]

    async def put(self, callback: Callback) -> None:
        """Store one, in the place of an older form of it.

        Raises Taken, with the id of the other one: the index lets one be open of a queue and number, whoever asks at once.
        """
        for left in reversed(range(TRIES)):
            try:
                await self._database.transact((PUT, [_row(callback)]))
            except StatementRefused:
                others = await self._database.query(OTHER, callback.queue, callback.number, callback.id)
                if others:
                    raise Taken(others[0][0]) from None
                if not left:
                    raise
            else:
                return

    async def one(self, callback: str) -> Callback | None:
        """The one of that id, open or not."""
        rows = await self._database.query(ONE, callback)
        return callback_of(rows[0]) if rows else None

    async def find(self, wanted: Filter, limit: int) -> list[Callback]:
        """Open or not, the latest first (ids rise with time), so many at most."""
        sql, values = _search(wanted)
        return [callback_of(row) for row in await self._database.query(sql, *values, limit)]

    async def asked(self, number: str, since: float) -> int:
        """How many were made of a number after that time."""
        [(count,)] = await self._database.query(ASKED, number, since)
        return int(count)


def _search(wanted: Filter) -> tuple[str, list[Any]]:
    """What is asked for only: each condition has an index."""
    states = sorted(state.value for state in wanted.states)
    asked = (
        ("queue = ?", [wanted.queue] if wanted.queue else []),
        ("number = ?", [wanted.number] if wanted.number else []),
        (f"state IN ({', '.join('?' * len(states))})", states),
        ("id < ?", [wanted.before] if wanted.before else []),
    )
    conditions = " AND ".join(condition for condition, values in asked if values) or "1 = 1"
    sql = f"SELECT {COLUMNS} FROM callbacks WHERE {conditions} ORDER BY id DESC LIMIT ?"  # noqa: S608 - values are marks
    return sql, [value for _, values in asked for value in values]


def _row(callback: Callback) -> tuple[Any, ...]:
    return tuple(_stored(getattr(callback, name)) for name in _NAMES)


def _stored(value: Any) -> Any:
    if isinstance(value, CallbackSource | CallbackState):
        return value.value
    return value if isinstance(value, str | float | int) else msgspec.json.encode(value).decode()


def callback_of(row: tuple[Any, ...]) -> Callback:
    """The callback of a row of :data:`COLUMNS`."""
    values = dict(zip(_NAMES, row, strict=True))
    values["source"], values["state"] = CallbackSource(values["source"]), CallbackState(values["state"])
    values["answers"], values["data"] = _TEXTS.decode(values["answers"]), _TEXTS.decode(values["data"])
    values["attempts"] = _ATTEMPTS.decode(values["attempts"])
    return Callback(**values)
