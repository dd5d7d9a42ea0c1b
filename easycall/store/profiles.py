"""Queues and skills of agents that were changed, in the database: its SQL, understood by SQLite and PostgreSQL alike."""

from __future__ import annotations

import msgspec

from easycall.model import Profile
from easycall.ports import Database

__all__ = ["ProfileShelf"]

COLUMNS = "agent, queues, skills, changed, changed_by"
ALL = f"SELECT {COLUMNS} FROM agent_profiles ORDER BY agent"  # noqa: S608 - constants only
PUT = (
    f"INSERT INTO agent_profiles ({COLUMNS}) VALUES (?, ?, ?, ?, ?) ON CONFLICT (agent) "  # noqa: S608 - constants only
    "DO UPDATE SET queues = excluded.queues, skills = excluded.skills, changed = excluded.changed, "
    "changed_by = excluded.changed_by"
)
REMOVE = "DELETE FROM agent_profiles WHERE agent = ?"

_QUEUES = msgspec.json.Decoder(tuple[str, ...] | None)
_SKILLS = msgspec.json.Decoder(dict[str, int] | None)


class ProfileShelf:
    """A :class:`easycall.acd.profiles.Shelf` in a database.  Every method raises StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> list[Profile]:
        """Every profile there is."""
        rows = await self._database.query(ALL)
        return [Profile(agent, _QUEUES.decode(queues), _SKILLS.decode(skills), *who) for agent, queues, skills, *who in rows]

    async def put(self, profile: Profile) -> None:
        """Store one, in the place of the agent's older one."""
        queues, skills = (msgspec.json.encode(value).decode() for value in (profile.queues, profile.skills))
        row = profile.agent, queues, skills, profile.changed, profile.changed_by
        await self._database.transact((PUT, [row]))

    async def remove(self, agent: str) -> None:
        """Forget an agent's."""
        await self._database.transact((REMOVE, [(agent,)]))
