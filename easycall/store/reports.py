"""Questions about the past, kept from being in the way of calls and of the journal.

At most two of them are with the database at once, whatever is asked of the API: the other connections of PostgreSQL, and the
turns of SQLite's one thread, are for what calls ask and what the journal writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import DeferredSemaphore
from twisted.internet.interfaces import IReactorTime

from easycall.defer import limited, shielded
from easycall.ports import Database, StoreUnavailable

__all__ = ["Reports"]

AT_ONCE = 2
WAIT_SECONDS = 5.0
"""How long somebody waits for a turn, and then for the answer."""
MOST_WAITING = 200
"""Whoever asks beyond is refused at once."""


class Reports:
    """The :class:`~easycall.ports.Database` for who reads what was."""

    def __init__(self, database: Database, clock: IReactorTime) -> None:
        self._database = database
        self._clock = clock
        self._turns = DeferredSemaphore(AT_ONCE)

    async def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of one reading statement.  Raises StoreUnavailable, also when there are too many, and StatementRefused."""
        until = self._clock.seconds() + WAIT_SECONDS
        if len(self._turns.waiting) >= MOST_WAITING:
            raise StoreUnavailable("too many ask for what was")
        try:
            await limited(self._turns.acquire(), WAIT_SECONDS, self._clock)
        except TimeoutError:
            raise StoreUnavailable(f"too many ask for what was: no turn within {WAIT_SECONDS:g} s") from None
        # Who asks may go away: the turn is over when the database is done.
        asked = shielded(self._asked(sql, values), StoreUnavailable)
        try:
            return await limited(asked, max(0.0, until - self._clock.seconds()), self._clock)
        except TimeoutError as why:
            raise StoreUnavailable(str(why)) from why

    async def transact(self, *statements: tuple[str, Sequence[Sequence[Any]]]) -> None:
        """As the database's own: who writes does not wait for who reads."""
        await self._database.transact(*statements)

    async def _asked(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        try:
            return await self._database.query(sql, *values)
        finally:
            self._turns.release()
