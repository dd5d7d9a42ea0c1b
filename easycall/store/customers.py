"""What is stored of one customer: SQL that SQLite and PostgreSQL both understand."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from easycall.events import CallbackAsked, CallDialled
from easycall.model import Callback
from easycall.ports import Database
from easycall.privacy.holdings import Told
from easycall.store.callbacks import COLUMNS, callback_of

__all__ = ["CustomerShelf"]

MOST_FORMS = 8
"""A number stands in records in a few forms; the rest of the marks is filled with one of them."""
FORMS = ", ".join("?" * MOST_FORMS)

CONTACTS = f"SELECT id FROM contacts WHERE customer IN ({FORMS}) AND id > ? ORDER BY id LIMIT ?"  # noqa: S608 - constants
COUNT = f"SELECT count(*) FROM contacts WHERE customer IN ({FORMS})"  # noqa: S608
REQUESTS = f"SELECT id FROM requests WHERE number IN ({FORMS}) ORDER BY id LIMIT ?"  # noqa: S608
# One that was asked for in a contact of the number may be to another number.
CALLBACKS = (
    f"SELECT {COLUMNS} FROM callbacks WHERE number IN ({FORMS}) "  # noqa: S608
    f"OR session IN (SELECT id FROM contacts WHERE customer IN ({FORMS})) ORDER BY id"
)


def _told(kind: str) -> str:
    """The kind stands in the text, not in a value: only then the index of these events is used."""
    return (
        f"SELECT seq, at, kind, contact, body FROM events WHERE kind = '{kind}' "  # noqa: S608
        "AND at >= ? AND (at, seq) > (?, ?)"
    )


TOLD = f"{_told(CallDialled.kind)} UNION ALL {_told(CallbackAsked.kind)} ORDER BY at, seq LIMIT ?"
EVENTS = "SELECT seq, kind, body FROM events WHERE contact = ? AND seq > ? ORDER BY seq LIMIT ?"
SOUNDS = "SELECT id, file FROM recordings WHERE contact = ? AND file <> '' ORDER BY id"

SET_BODY = "UPDATE events SET body = ? WHERE seq = ?"
REMOVE_EVENT = "DELETE FROM events WHERE seq = ?"
REMOVE_REQUEST = "DELETE FROM requests WHERE id = ?"
REMOVE_CALLBACK = "DELETE FROM callbacks WHERE id = ?"
# What stands last makes it the record of nobody: until then it is found again.
MAKE_ANONYMOUS = (
    "DELETE FROM recordings WHERE contact = ?",
    "DELETE FROM requests WHERE id = ?",
    "UPDATE transactions SET reference = '', data = '{}' WHERE contact = ?",
    "UPDATE contacts SET erased = 1, customer = '', caller_name = '', answers = '{}', data = '{}', "
    "caller = CASE direction WHEN 'outbound' THEN caller ELSE '' END, "
    "dialled = CASE direction WHEN 'outbound' THEN '' ELSE dialled END WHERE id = ?",
)


class CustomerShelf:
    """A :class:`easycall.privacy.holdings.Shelf` in a database.  Every method raises StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def contacts(self, forms: Collection[str], after: str, limit: int) -> list[str]:
        """Ended contacts of a number, in the order of their ids; only those behind ``after``."""
        return [str(contact) for (contact,) in await self._database.query(CONTACTS, *_marks(forms), after, limit)]

    async def count(self, forms: Collection[str]) -> int:
        """How many there are."""
        [(count,)] = await self._database.query(COUNT, *_marks(forms))
        return int(count)

    async def requests(self, forms: Collection[str], limit: int) -> list[str]:
        """Stored requests of a number."""
        return [str(request) for (request,) in await self._database.query(REQUESTS, *_marks(forms), limit)]

    async def callbacks(self, forms: Collection[str]) -> list[Callback]:
        """Callbacks to a number, or that a contact of it led to, open or not."""
        return [callback_of(row) for row in await self._database.query(CALLBACKS, *_marks(forms), *_marks(forms))]

    async def told(self, after: tuple[float, int], limit: int) -> list[Told]:
        """The next events that tell a number, the oldest first."""
        at, seq = after
        return [Told(*row) for row in await self._database.query(TOLD, at, at, seq, at, at, seq, limit)]

    async def events(self, contact: str, after: int, limit: int) -> list[tuple[int, str, str]]:
        """The next events of a contact: number, kind and body."""
        return [(seq, kind, body) for seq, kind, body in await self._database.query(EVENTS, contact, after, limit)]

    async def sounds(self, contact: str) -> list[tuple[str, str]]:
        """Recordings of a contact that have a file, and the file."""
        return [(recording, file) for recording, file in await self._database.query(SOUNDS, contact)]

    async def rewrite(self, bodies: Sequence[tuple[int, str]], unreadable: Sequence[int]) -> None:
        """Events have other bodies; those that nobody can read are removed."""
        removed = [(seq,) for seq in unreadable]
        await self._database.transact((SET_BODY, [(body, seq) for seq, body in bodies]), (REMOVE_EVENT, removed))

    async def make_anonymous(self, contact: str) -> None:
        """The record of a contact is nobody's any more."""
        await self._database.transact(*((sql, [(contact,)]) for sql in MAKE_ANONYMOUS))

    async def remove_requests(self, requests: Sequence[str]) -> None:
        """Forget requests."""
        await self._database.transact((REMOVE_REQUEST, [(request,) for request in requests]))

    async def remove_callbacks(self, callbacks: Sequence[str]) -> None:
        """Forget callbacks."""
        await self._database.transact((REMOVE_CALLBACK, [(callback,) for callback in callbacks]))


def _marks(forms: Collection[str]) -> list[Any]:
    """The values for :data:`FORMS`."""
    known = sorted(forms)[:MOST_FORMS]
    return known + known[:1] * (MOST_FORMS - len(known))
