"""Why the daemon is not ready, in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from easycall.defer import unattended
from easycall.ports import Database, StoreUnavailable

__all__ = ["Vitals"]

log = Logger()

STUCK_SECONDS = 5.0
"""Events wait for the store, and it has taken none for so long: it is away."""
DROPPING_SECONDS = 60.0
"""For so long after the journal dropped an event the daemon is not well."""
ASK_EVERY = 5.0
"""Seconds between two questions to the database."""
ANSWER_SECONDS = 4.0
"""In which it is to answer."""


class Journal(Protocol):
    """What is looked at of the journal."""

    @property
    def last(self) -> int:
        """The sequence of the latest event."""

    @property
    def behind(self) -> int:
        """Events that wait for the store."""

    @property
    def dropped(self) -> int:
        """Events that were told but could not be kept."""

    @property
    def trouble(self) -> str:
        """What is wrong with the journal's file; empty: nothing."""


class Link(Protocol):
    """The link to one Asterisk."""

    @property
    def up(self) -> bool:
        """True while the link stands."""

    @property
    def trouble(self) -> str:
        """What is wrong with that Asterisk though it speaks with us, and what mends it; empty: nothing."""


class Vitals:
    """What is well and what is not.  :meth:`look` is called all the time."""

    def __init__(
        self,
        clock: IReactorTime,
        journal: Journal,
        links: Mapping[str, Link],
        database: Database | None = None,
        unread: Callable[[], str] = str,
    ) -> None:
        """``links``: the Asterisks by name; ``database``: is asked for a sign of life, None: is not; ``unread``: what could
        not be read at the start, in words."""
        self._clock = clock
        self._journal = journal
        self._links = links
        self._database = database
        self._unread = unread
        self._stored = (-1, clock.seconds())
        """How far the store has come, and when it got there, or when there was nothing to do."""
        self._dropped = journal.dropped
        self._dropped_at: float | None = None
        self._asked: float | None = None
        """When the database was asked; None: it has answered."""
        self._ask_at = clock.seconds()
        self._away: tuple[float, str] | None = None
        """Since when the database does not answer, and why."""
        self._ending = ""

    def fatal(self, why: str) -> None:
        """The daemon is about to end because of this."""
        self._ending = self._ending or why

    def look(self, now: float) -> None:
        """See how journal and database get on."""
        stored = self._journal.last - self._journal.behind - self._journal.dropped
        if not self._journal.behind or stored != self._stored[0]:
            self._stored = stored, now
        if self._journal.dropped > self._dropped:
            self._dropped, self._dropped_at = self._journal.dropped, now
        if self._asked is not None and now - self._asked >= ANSWER_SECONDS:
            self._away = self._away or (self._asked, f"no answer within {ANSWER_SECONDS:g} s")
        elif self._asked is None and self._database is not None and now >= self._ask_at:
            self._asked, self._ask_at = now, now + ASK_EVERY
            unattended(self._ask(self._database, now))

    async def stop(self) -> None:
        """Ask the database nothing more."""
        self._database = None

    async def _ask(self, database: Database, now: float) -> None:
        """Ask for a sign of life.  It is not broken off: one that never comes is the one question that is open."""
        try:
            await database.query("SELECT 1")
            self._away = None
        except StoreUnavailable as why:
            log.debug("the database gives no sign of life: {why}", why=str(why))
            self._away = self._away or (now, "it refuses")
        finally:
            self._asked = None

    def reasons(self, now: float) -> list[str]:
        """Why the daemon is not ready; none: it is."""
        return [*self._of_links(), *self._of_store(now), *([f"it ends: {self._ending}"] if self._ending else [])]

    def _of_links(self) -> list[str]:
        return [
            f"Asterisk {name!r}: {link.trouble}" if link.trouble else f"no link to Asterisk {name!r}"
            for name, link in self._links.items()
            if link.trouble or not link.up
        ]

    def _of_store(self, now: float) -> list[str]:
        found, behind = [], self._journal.behind
        if unread := self._unread():
            found.append(unread)
        if self._away is not None:
            found.append(f"the database does not answer since {_time(self._away[0])}: {self._away[1]}")
        if behind and now - self._stored[1] >= STUCK_SECONDS:
            found.append(f"the journal is not stored since {_time(self._stored[1])}: {behind} events wait")
        if self._journal.trouble:
            found.append(self._journal.trouble)
        if self._dropped_at is not None and now - self._dropped_at < DROPPING_SECONDS:
            found.append(f"the journal drops events: {self._dropped} so far, the last ones at {_time(self._dropped_at)}")
        return found


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
