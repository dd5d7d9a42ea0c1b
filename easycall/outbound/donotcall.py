"""The numbers that are not called.  What was said yes to is stored: a number is never dialled again by a restart.

Every change is told by an event, with the name of who asked for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from attrs import frozen
from twisted.internet.interfaces import IReactorTime

from easycall.defer import shielded
from easycall.events import NumberListed, NumberUnlisted
from easycall.ports import Journal, StoreUnavailable

__all__ = ["DoNotCall", "Entry", "Shelf"]


@frozen
class Entry:
    """A number that is not called."""

    number: str
    reason: str
    added: float
    added_by: str
    """The name of the token."""


class Shelf(Protocol):
    """Where the list outlives the daemon.  Every method raises StoreUnavailable."""

    async def all(self) -> Iterable[Entry]:
        """Everything on the list."""

    async def put(self, entry: Entry) -> None:
        """Store one, in the place of an older one of that number."""

    async def remove(self, number: str) -> None:
        """Forget one."""


class DoNotCall:
    """The list.  ``await start()`` before the first call; who asks while that could not read it gets StoreUnavailable."""

    def __init__(self, shelf: Shelf, clock: IReactorTime, journal: Journal) -> None:
        self._shelf = shelf
        self._clock = clock
        self._journal = journal
        self._entries: dict[str, Entry] = {}
        self._unread = False

    @property
    def entries(self) -> Mapping[str, Entry]:
        """Number (E.164) -> entry, in the order in which they were added."""
        if self._unread:
            raise StoreUnavailable("the do-not-call list could not be read yet")
        return self._entries

    def __contains__(self, number: object) -> bool:
        return number in self.entries

    async def start(self) -> None:
        """Read the list.  Raises StoreUnavailable, and can be tried again."""
        self._unread = True
        self._entries = {entry.number: entry for entry in await self._shelf.all()}
        self._unread = False

    async def add(self, number: str, reason: str, added_by: str) -> Entry:
        """Put a number on the list; done when it is stored.  Raises StoreUnavailable, and then nothing was changed."""
        self.entries  # noqa: B018 - what is not read yet would replace it
        entry = Entry(number, reason, self._clock.seconds(), added_by)
        await shielded(self._add(entry), StoreUnavailable)  # who asks may go away: what is stored is always obeyed
        return entry

    async def _add(self, entry: Entry) -> None:
        await self._shelf.put(entry)
        self._entries[entry.number] = entry
        facts = {"number": entry.number, "reason": entry.reason, "by": entry.added_by}
        self._journal.record(NumberListed(at=self._clock.seconds(), **facts))

    async def remove(self, number: str, removed_by: str) -> None:
        """Take a number from the list.  Raises KeyError when it is not on it, StoreUnavailable."""
        self.entries[number]
        await shielded(self._remove(number, removed_by), StoreUnavailable)

    async def _remove(self, number: str, removed_by: str) -> None:
        await self._shelf.remove(number)
        if self._entries.pop(number, None) is not None:  # another may have been faster
            self._journal.record(NumberUnlisted(at=self._clock.seconds(), number=number, by=removed_by))
