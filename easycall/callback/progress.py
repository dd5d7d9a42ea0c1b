"""How a callback goes on when something has become of it: kept, told, looked at again, its contact withdrawn."""

from __future__ import annotations

from collections.abc import Mapping

from twisted.internet.interfaces import IReactorTime

from easycall.callback.around import Carriers
from easycall.callback.book import Book
from easycall.callback.lifecycle import over, settled
from easycall.callback.telling import Telling
from easycall.callback.timetable import Timetable
from easycall.model import Callback, CallbackState, EndedBy, Outcome, Queue

__all__ = ["Progress"]


class Progress:
    """See the module."""

    def __init__(
        self,
        book: Book,
        timetable: Timetable,
        telling: Telling,
        contacts: Carriers,
        queues: Mapping[str, Queue],
        clock: IReactorTime,
    ) -> None:
        """``queues``: as they are at any time."""
        self._book = book
        self._timetable = timetable
        self._telling = telling
        self._contacts = contacts
        self._queues = queues
        self._clock = clock
        self.on_the_line: set[str] = set()
        """Contacts whose customer has answered."""
        self.put_off: dict[str, tuple[float, str]] = {}
        """Contact whose number may not be dialled -> before when it is not to be tried again, and why."""
        self.due: set[str] = set()
        """Those that are due and wait for something to change."""

    def soon(self, name: str) -> None:
        """Look at one when whoever told of something is done."""
        self._timetable.at(name, self._clock.seconds())

    def end(self, callback: Callback, state: CallbackState, why: str) -> None:
        """It has come to this end; its contact leaves the line."""
        new = over(callback, state, why, self._clock.seconds())
        self.keep(new)
        self._telling.ended(new, callback.contact)
        self.withdraw(callback.contact)

    def keep(self, callback: Callback) -> None:
        """It is as this now."""
        self.forget(callback)
        self._book.keep(callback)

    def forget(self, callback: Callback) -> None:
        """One that is over is not looked at any more."""
        if not callback.open:
            self._timetable.drop(callback.id)
            self.due.discard(callback.id)

    def withdraw(self, contact: str) -> None:
        """A contact leaves the line, unless its customer is there.  Later: whoever told of something is not done."""

        def leave() -> None:
            if contact in self._contacts.live and contact not in self.on_the_line:
                self._contacts.hang_up(contact, EndedBy.SYSTEM)

        if contact:
            self._clock.callLater(0, leave)

    def reached(self, callback: Callback, agent: str) -> None:
        """Customer and agent have talked."""
        rules, now = self._queues[callback.queue].callback, self._clock.seconds()
        new = settled(callback, rules, Outcome.ANSWERED, now, agent=agent)
        self.keep(new)
        self._telling.ended(new, callback.contact)

    def settle(self, callback: Callback, outcome: Outcome, cause: int) -> None:
        """Its contact has ended, and nobody has talked.  ``cause``: the network's, of a customer who was not reached."""
        contact, now = callback.contact, self._clock.seconds()
        put_off = self.put_off.get(contact, (0.0, ""))
        new = settled(callback, self._queues[callback.queue].callback, outcome, now, cause=cause, put_off=put_off)
        self.keep(new)
        if new.open:
            self._telling.settled(new, contact, outcome, cause, dialled=callback.is_dialled)
            self._timetable.at(new.id, new.due)
        else:
            self._telling.ended(new, contact)
