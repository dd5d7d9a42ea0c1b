"""What the database knows of what stands open: for a start without the journal's file, which knows it better."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from easycall.events import Event
from easycall.ports import Database
from easycall.stats.codec import decode

__all__ = ["standing"]

CONTACT_SECONDS = 7 * 86_400.0
"""How long a contact that has not ended is looked for."""
MOST_CONTACTS = 20_000
AGENT_SECONDS = 86_400.0
"""Agents who did nothing for so long are not known."""
MOST_OF_AGENTS = 100_000
"""Events of agents read, the latest."""

PAGE = 1_000
AT_ONCE = 100
"""Contacts whose events one statement reads."""

# The kinds stand in the text, as an index of a part of the table is used for what the statement itself says.
OPEN = (
    "SELECT contact FROM events WHERE kind = 'contact.arrived' AND at >= ? "
    "AND NOT EXISTS (SELECT 1 FROM contacts WHERE contacts.id = events.contact) ORDER BY at DESC LIMIT ?"
)
STORIES = f"SELECT seq, at, kind, body FROM events WHERE contact IN ({', '.join('?' * AT_ONCE)})"  # noqa: S608 - marks only
OF_AGENTS = (
    "SELECT seq, at, kind, body FROM events WHERE kind IN ('agent.changed', 'agent.assigned') AND seq < ? "
    "ORDER BY seq DESC LIMIT ?"
)


async def standing(database: Database, now: float) -> list[tuple[int, Event]]:
    """The events of contacts that may not have ended, and the latest of agents; in no order.  Raises StoreUnavailable."""
    found: list[tuple[int, Event]] = []
    contacts = [contact for (contact,) in await database.query(OPEN, now - CONTACT_SECONDS, MOST_CONTACTS)]
    for first in range(0, len(contacts), AT_ONCE):
        some = contacts[first : first + AT_ONCE]
        found += _events(await database.query(STORIES, *some, *some[:1] * (AT_ONCE - len(some))))
    before = 1 << 62
    for _ in range(0, MOST_OF_AGENTS, PAGE):
        rows = await database.query(OF_AGENTS, before, PAGE)
        recent = [row for row in rows if row[1] >= now - AGENT_SECONDS]
        found += _events(recent)
        if len(recent) < PAGE:
            break
        before = rows[-1][0]
    return found


def _events(rows: Sequence[tuple[Any, ...]]) -> list[tuple[int, Event]]:
    """Those that this easycall understands."""
    events = []
    for seq, _, kind, body in rows:
        try:
            events.append((seq, decode(kind, body)))
        except ValueError:
            continue
    return events
