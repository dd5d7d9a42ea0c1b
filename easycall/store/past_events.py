"""The stored events in the order of the journal, a block at a time: SQL that SQLite and PostgreSQL both understand."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.logger import Logger

from easycall.events import Event
from easycall.ports import Database
from easycall.stats.codec import decode

__all__ = ["PastEvents"]

log = Logger()

LOOKED_AT = 2_000
"""Events whose moments tell where in the journal we are.  It is in the order of time but for single events: an end that was
only found after an outage is told later than it happened."""

EXTENT = "SELECT min(seq), max(seq) FROM events"
LATEST = "SELECT max(at) FROM (SELECT at FROM events WHERE seq >= ? ORDER BY seq LIMIT ?) AS block"


class PastEvents:
    """A :class:`easycall.stats.history.Past` in a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def place(self, moment: float) -> int:
        """The number of an event before which all others happened before that moment, looked for by halves.

        There may be up to :data:`LOOKED_AT` of them behind it, too.  Raises StoreUnavailable.
        """
        [(least, most)] = await self._database.query(EXTENT)
        if least is None:
            return 1
        low, high = int(least), int(most) + 1
        while low < high:
            middle = (low + high) // 2
            [(latest,)] = await self._database.query(LATEST, middle, LOOKED_AT)
            if latest < moment:
                low = middle + 1
            else:
                high = middle
        return low

    async def events(self, after: int, upto: int, kinds: Sequence[type[Event]]) -> list[tuple[int, Event]]:
        """Those of some kinds with numbers above ``after`` and up to ``upto``, in order.  One that cannot be understood is
        left out and named in the log.  Raises StoreUnavailable."""
        marks = ", ".join("?" for _ in kinds)
        sql = f"SELECT seq, kind, body FROM events WHERE seq > ? AND seq <= ? AND kind IN ({marks}) ORDER BY seq"  # noqa: S608
        found = []
        for seq, kind, body in await self._database.query(sql, after, upto, *(one.kind for one in kinds)):
            try:
                found.append((int(seq), decode(kind, body)))
            except ValueError as why:
                log.error("event {seq} counts in no figure: it cannot be understood: {why}", seq=seq, why=str(why))
        return found
