"""What is too old, found and removed piece by piece: SQL that SQLite and PostgreSQL both understand."""

from __future__ import annotations

from collections.abc import Sequence

from easycall.ports import Database
from easycall.privacy.rules import Stored

__all__ = ["REMOVE_CONTACT", "ExpiryShelf"]

NEWEST = "SELECT seq, contact FROM events ORDER BY seq DESC LIMIT 1"
# The event by which the next one is numbered stays, and with it its contact: it goes as a whole or not at all.
CONTACTS = (
    "SELECT id FROM contacts WHERE arrived < ? AND ended < ? "
    "AND id NOT IN (SELECT contact FROM events WHERE seq = (SELECT max(seq) FROM events)) ORDER BY arrived, id LIMIT ?"
)
EVENTS = (
    "SELECT events.seq, events.at, events.kind, events.contact, contacts.ended FROM events "
    "LEFT JOIN contacts ON contacts.id = events.contact WHERE events.seq > ? ORDER BY events.seq LIMIT ?"
)
COUNT = "SELECT count(*) FROM events WHERE contact = ?"
SOUNDS_OF = "SELECT id, file FROM recordings WHERE contact = ? AND file <> ''"
# As it stands in the text, the condition on the file lets the index of these rows be used.
SOUNDS = "SELECT id, file FROM recordings WHERE file <> '' AND started < ? AND ended < ? ORDER BY started, id LIMIT ?"
SOUND_GONE = "UPDATE recordings SET file = '' WHERE id = ?"
# One that is open has ended at 0.
CALLBACKS = "SELECT id FROM callbacks WHERE ended > 0 AND ended < ? ORDER BY ended, id LIMIT ?"
REMOVE_CALLBACK = "DELETE FROM callbacks WHERE id = ?"
REMOVE_EVENT = "DELETE FROM events WHERE seq = ?"
REMOVE_CONTACT = (
    "DELETE FROM events WHERE contact = ?",
    "DELETE FROM recordings WHERE contact = ?",
    "DELETE FROM wrap_ups WHERE contact = ?",
    "DELETE FROM transactions WHERE contact = ?",
    "DELETE FROM segments WHERE contact = ?",
    "DELETE FROM contacts WHERE id = ?",
)


class ExpiryShelf:
    """A :class:`easycall.privacy.retention.Shelf` in a database.  Every method raises StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest(self) -> tuple[int, str]:
        """The highest number of an event, and of which contact."""
        rows = await self._database.query(NEWEST)
        return (rows[0][0], rows[0][1]) if rows else (0, "")

    async def contacts(self, before: float, limit: int) -> list[str]:
        """Contacts that ended before that, the first arrival first."""
        return [str(contact) for (contact,) in await self._database.query(CONTACTS, before, before, limit)]

    async def events(self, after: int, limit: int) -> list[Stored]:
        """The next events, in the order of the journal."""
        return [Stored(*row) for row in await self._database.query(EVENTS, after, limit)]

    async def count(self, contact: str) -> int:
        """How many events a contact has."""
        [(count,)] = await self._database.query(COUNT, contact)
        return int(count)

    async def sounds_of(self, contact: str) -> list[tuple[str, str]]:
        """Recordings of a contact that have a file, and the file."""
        return [(recording, file) for recording, file in await self._database.query(SOUNDS_OF, contact)]

    async def sounds(self, before: float, limit: int) -> list[tuple[str, str]]:
        """Recordings that ended before that and have a file, the oldest first."""
        return [(recording, file) for recording, file in await self._database.query(SOUNDS, before, before, limit)]

    async def sounds_gone(self, recordings: Sequence[str]) -> None:
        """Their files are no more."""
        await self._database.transact((SOUND_GONE, [(recording,) for recording in recordings]))

    async def callbacks(self, before: float, limit: int) -> list[str]:
        """Callbacks that ended before that, the oldest first."""
        return [str(callback) for (callback,) in await self._database.query(CALLBACKS, before, limit)]

    async def remove_callbacks(self, callbacks: Sequence[str]) -> None:
        """Remove callbacks."""
        await self._database.transact((REMOVE_CALLBACK, [(callback,) for callback in callbacks]))

    async def remove_contacts(self, contacts: Sequence[str]) -> None:
        """Remove contacts with all that belongs to them, each of them whole."""
        rows = [(contact,) for contact in contacts]
        await self._database.transact(*((sql, rows) for sql in REMOVE_CONTACT))

    async def remove_events(self, events: Sequence[int]) -> None:
        """Remove events of no contact."""
        await self._database.transact((REMOVE_EVENT, [(seq,) for seq in events]))
