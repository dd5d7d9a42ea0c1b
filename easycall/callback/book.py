"""The open callbacks, found by what they are asked for by, and how they get into the database.

What must be true before something is said or done is stored first (:meth:`Book.promise`); what has happened is kept at once
and stored as soon as that is possible (:meth:`Book.keep`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from easycall.callback.lifecycle import over
from easycall.callback.shelf import Filter, Shelf, Taken
from easycall.defer import start, unattended
from easycall.model import OPEN, Callback, CallbackState
from easycall.ports import StoreUnavailable

__all__ = ["Book", "Changed"]

log = Logger()

AGAIN_SECONDS = 5.0
"""How long after the database was away what is not stored is tried again."""


class Changed(Exception):
    """Something happened to a callback while another form of it was being stored: that form holds no more."""


class Book:
    """See the module."""

    def __init__(self, shelf: Shelf, clock: IReactorTime, written: Callable[[], None] = lambda: None) -> None:
        """``written``: sees to it that what was told so far outlives the process: what is stored was told."""
        self._shelf = shelf
        self._clock = clock
        self._written = written
        self._open: dict[str, Callback] = {}
        self._of: dict[tuple[str, str], str] = {}
        self._of_contact: dict[str, str] = {}
        self._of_number: dict[str, set[str]] = {}
        self._unstored: dict[str, Callback] = {}
        """What is to be stored soon: id -> the latest form."""
        self._doubtful: dict[tuple[str, str], None] = {}
        """Queues and numbers of which one may be stored that was not promised."""
        self._stopped = False
        self._one_by_one = DeferredLock()
        self._again: IDelayedCall | None = None
        self._storing: IDelayedCall | None = None

    @property
    def open(self) -> Mapping[str, Callback]:
        """Those in which something is still to be done, by id."""
        return MappingProxyType(self._open)

    def find(self, queue: str, number: str) -> Callback | None:
        """The open one of a queue and a number."""
        return self._open.get(self._of.get((queue, number), ""))

    def of_contact(self, contact: str) -> Callback | None:
        """The open one that is in line as this contact."""
        return self._open.get(self._of_contact.get(contact, ""))

    def of_number(self, number: str) -> list[Callback]:
        """The open ones of a number."""
        return [self._open[one] for one in self._of_number.get(number, ())]

    async def read(self) -> None:
        """Take up what is stored.  Raises StoreUnavailable."""
        for callback in await self._shelf.open():
            if callback.id not in self._open:
                self._hold(callback)

    async def promise(self, callback: Callback) -> None:
        """Store it and hold it then.  Raises StoreUnavailable, Taken and Changed: nothing is different."""
        before = self._open.get(callback.id)

        async def in_turn() -> None:
            if self._open.get(callback.id) is not before:
                raise Changed
            await self._make_room(callback)
            try:
                await self._shelf.put(callback)
            except StoreUnavailable:
                self._doubt(callback, before)
                raise
            if self._open.get(callback.id) is not before:
                raise Changed  # what happened meanwhile is stored after this
            self._unstored.pop(callback.id, None)
            self._hold(callback)

        await self._one_by_one.run(lambda: start(in_turn()))

    async def take_up(self, queue: str, number: str) -> Callback | None:
        """Hold the one of a queue and a number that is stored though it was not promised, see :meth:`_doubt`.

        None: there is none.  Raises StoreUnavailable.
        """

        async def in_turn() -> Callback | None:
            found = await self._unpromised(queue, number)
            if found is not None:
                self._hold(found)
            return found

        return await self._one_by_one.run(lambda: start(in_turn()))

    def keep(self, callback: Callback) -> None:
        """Hold it as it is now, and store it soon: when what is told of it in this turn is written."""
        self._hold(callback)
        self._unstored[callback.id] = callback
        if self._storing is None:
            self._storing = self._clock.callLater(0, self._store_soon)

    def _store_soon(self) -> None:
        self._storing = None
        self._written()
        unattended(self._store())

    async def stop(self) -> None:
        """Store what can be stored now, and nothing more."""
        self._stopped = True
        if self._storing is not None:
            self._storing.cancel()
            self._storing = None
            self._written()
        if self._again is not None:
            self._again.cancel()
            self._again = None
        await self._store()

    async def _make_room(self, callback: Callback) -> None:
        """Another one of its queue and number that is over must be stored as over before."""
        for other in list(self._unstored.values()):
            if other.id != callback.id and (other.queue, other.number) == (callback.queue, callback.number):
                await self._shelf.put(other)
                self._is_stored(other)

    def _doubt(self, callback: Callback, before: Callback | None) -> None:
        """It may be stored all the same, and only the answer was lost: it is seen to that what holds is stored."""
        if before is not None:
            self._unstored.setdefault(before.id, before)
        else:
            self._doubtful[callback.queue, callback.number] = None
        self._soon()

    def _soon(self) -> None:
        if self._again is None and not self._stopped:
            self._again = self._clock.callLater(AGAIN_SECONDS, self._store_again)

    async def _unpromised(self, queue: str, number: str) -> Callback | None:
        """The one of a queue and a number that is open where it is stored and nowhere else."""
        stored = await self._shelf.find(Filter(queue, number, OPEN), 1)
        return next((one for one in stored if one.id not in self._open and one.id not in self._unstored), None)

    async def _dispel(self) -> None:
        """What was asked for, stored and not promised will not be done."""
        while self._doubtful:
            which = next(iter(self._doubtful))
            if (found := await self._unpromised(*which)) is not None:
                now = self._clock.seconds()
                await self._shelf.put(over(found, CallbackState.CANCELLED, "it was not promised", now))
            del self._doubtful[which]

    def _is_stored(self, callback: Callback) -> None:
        if self._unstored.get(callback.id) is callback:
            del self._unstored[callback.id]

    def _hold(self, callback: Callback) -> None:
        before = self._open.pop(callback.id, None)
        if before is not None:
            self._of.pop((before.queue, before.number), None)
            self._of_contact.pop(before.contact, None)
            self._of_number[before.number].discard(before.id)
            if not self._of_number[before.number]:
                del self._of_number[before.number]
        if callback.open:
            self._open[callback.id] = callback
            self._of[callback.queue, callback.number] = callback.id
            self._of_number.setdefault(callback.number, set()).add(callback.id)
            if callback.contact:
                self._of_contact[callback.contact] = callback.id

    async def _store(self) -> None:
        def in_turn() -> Deferred[None]:
            return start(self._store_all())

        await self._one_by_one.run(in_turn)

    async def _store_all(self) -> None:
        if self._again is not None:
            return
        try:
            await self._dispel()
        except StoreUnavailable:
            self._soon()
            return
        while self._unstored:
            callback = next(iter(self._unstored.values()))
            try:
                await self._shelf.put(callback)
            except StoreUnavailable as why:
                log.error("callback {id} is carried on and not stored: {why}", id=callback.id, why=str(why))
                self._soon()
                return
            except Taken:
                log.error("callback {id} is one of two of a queue and a number, and not stored", id=callback.id)
            self._is_stored(callback)

    def _store_again(self) -> None:
        self._again = None
        unattended(self._store())
