"""Who talked with whom, from the records in the database: SQL that SQLite and PostgreSQL both understand."""

from __future__ import annotations

from easycall.model import LastTalk
from easycall.ports import Database

__all__ = ["TalkArchive"]

LAST_TALK = (
    "SELECT part.started, part.agent, part.queue FROM contacts JOIN segments AS part ON part.contact = contacts.id "
    "WHERE contacts.customer = ? AND contacts.ended > ? AND part.kind = 'talk' AND part.started > ? "
    "AND (part.queue = ? OR ? = '') ORDER BY part.started DESC LIMIT 1"
)


class TalkArchive:
    """A :class:`easycall.acd.last_agents.TalkHistory` in a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def last_talk(self, number: str, queue: str, since: float) -> LastTalk | None:
        """The latest talk of an ended contact with a number after ``since``, of a queue; empty: of any.

        Raises StoreUnavailable.
        """
        rows = await self._database.query(LAST_TALK, number, since, since, queue, queue)
        return next((LastTalk(at, agent, of) for at, agent, of in rows), None)
