"""What the journal needs of a database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from attrs import frozen

from easycall.events import Event
from easycall.stats.record import Record
from easycall.stats.recordings import Recording

__all__ = ["Archive", "Entry", "Index"]


@frozen
class Entry:
    """One numbered event, ready to be stored."""

    seq: int
    event: Event
    body: str
    """The event's fields as JSON."""


class Archive(Protocol):
    """Where the journal keeps what happened.  Every method raises StoreUnavailable."""

    async def last(self) -> int:
        """The highest sequence stored, 0 when there is none."""

    async def append(self, entries: Sequence[Entry], records: Sequence[Record]) -> None:
        """Store events and the records of ended contacts, all or nothing; what is stored already is left alone."""

    async def record(self, contact: str) -> Record | None:
        """The record of a contact that is not live."""

    async def events(self, contact: str) -> list[tuple[int, Event]]:
        """The stored events of a contact, in order."""

    async def standing(self, now: float) -> list[tuple[int, Event]]:
        """The stored events of contacts that may not have ended, and the latest ones of agents: of the last days only."""

    async def ended(self, limit: int, before: str) -> list[Record]:
        """The contacts that ended, the latest arrival first, without segments; only those before contact ``before``."""

    @property
    def recordings(self) -> Index:
        """Which recordings there are."""


class Index(Protocol):
    """Which recordings there are.  Every method raises StoreUnavailable."""

    async def contact_of(self, recording: str) -> str:
        """The contact of a recording; empty when there is none of that id."""

    async def page(self, limit: int, before: str, first: float, end: float) -> list[tuple[str, Recording]]:
        """Contacts and recordings that began from ``first`` on and before ``end``, the latest first; only those before
        recording ``before``.  What still runs has no end and no gaps yet."""
