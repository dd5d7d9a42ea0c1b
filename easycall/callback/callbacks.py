"""All callbacks that are open: put into the line when they are due and possible, tried again, brought to an end.

Each attempt is a contact of its own, which waits in line as a caller does (:mod:`easycall.callback.call_back`).  What
becomes of it is heard here as it is told; :mod:`~easycall.callback.lifecycle` says what comes next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import tzinfo
from typing import Any

from attrs import evolve
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from easycall.callback.around import Carriers, History, StoredEvents
from easycall.callback.book import Book, Changed
from easycall.callback.circumstances import Circumstances
from easycall.callback.lifecycle import Begin, Later, Over, begun, dialled, in_words, over
from easycall.callback.progress import Progress
from easycall.callback.promises import Promises
from easycall.callback.resuming import Resuming
from easycall.callback.shelf import Filter, Shelf, Taken
from easycall.callback.sources import Sources
from easycall.callback.telling import Telling
from easycall.callback.timetable import Timetable
from easycall.callback.wish import Change, Wish
from easycall.defer import shielded, unattended
from easycall.events import (
    AgentAssigned,
    AgentChanged,
    Answered,
    CallAnswered,
    CallDialled,
    CallFailed,
    ContactArrived,
    ContactEnded,
    Event,
)
from easycall.model import (
    Agent,
    Callback,
    CallbackState,
    Direction,
    Queue,
)
from easycall.outbound.dialling import Dialling
from easycall.outbound.rules import NotDialled, Why
from easycall.ports import StoreUnavailable
from easycall.verbs import NotNow

__all__ = ["Callbacks"]

log = Logger()

LOOKED_AT_EVERY = 60.0
"""How often one that is due is looked at for being late, or too late."""
AGAIN_SECONDS = 5.0
"""How long after the database was away it is tried again."""
CAPPED_SECONDS = 900.0
"""For how long at least one is put off whose number, queue or site was called as often as the caps of dialling allow."""


class Callbacks:
    """See the module.  ``await start()`` when the journal, the agents and the live contacts are there."""

    def __init__(
        self,
        contacts: Carriers,
        shelf: Shelf,
        journal: History,
        clock: IReactorTime,
        new_id: Callable[[], str],
        dialling: Dialling,
        queues: Mapping[str, Queue],
        agents: Mapping[str, Agent],
        site: tzinfo,
        past: StoredEvents,
        number_of: Callable[[str], str] = str,
    ) -> None:
        """``queues``, ``agents``: as they are at any time; ``site``: the time zone of customers of whom nothing is known;
        ``past``: what was told before;
        ``number_of``: the number a customer is known by, of one as shown; empty: withheld."""
        self._contacts = contacts
        self._shelf = shelf
        self._journal = journal
        self._clock = clock
        self._new_id = new_id
        self._queues = queues
        self._agents = agents
        self._book = Book(shelf, clock, journal.write)
        self._sources = Sources(number_of)
        self._circumstances = Circumstances(queues, agents, self._sources, site, clock)
        self._timetable = Timetable(clock, self._look)
        self._telling = Telling(journal, clock)
        how = self._telling, clock, new_id, dialling, queues
        self._promises = Promises(self._book, shelf, *how, self._look)
        self._progress = Progress(self._book, self._timetable, self._telling, contacts, queues, clock)
        self._resuming = Resuming(
            self._book,
            shelf,
            journal,
            contacts,
            self._sources,
            self._telling,
            self._promises,
            self._progress,
            past,
            queues,
            clock,
            number_of,
        )
        self._beginning: set[str] = set()
        """Those that are being stored as in line."""
        self._causes: dict[str, int] = {}
        """Contact -> the network's cause, of a customer who was not reached."""
        self._stop_listening: Callable[[], None] | None = None
        self._stopped = False

    @property
    def live(self) -> Mapping[str, Callback]:
        """The open ones, by id."""
        return self._book.open

    # Start and stop

    async def start(self) -> None:
        """What is open goes on.  Raises StoreUnavailable, and can be tried again: until then nothing can be asked for."""
        if self._stop_listening is None:
            self._resuming.take_up_stories()
            for agent in self._agents:
                self._circumstances.agent_changed(agent)
            self._stop_listening = self._journal.subscribe(self._told)
        await self._book.read()
        await self._resuming.catch_up()
        for callback in list(self._book.open.values()):
            if callback.queue not in self._queues:
                log.error("callback {id} is of queue {queue}, which is no more", id=callback.id, queue=callback.queue)
            elif callback.state is CallbackState.IN_LINE:
                await self._resuming.resume(callback)
        self._resuming.end_left()
        self._promises.begin()
        for name in list(self._book.open):
            self._look(name)

    async def stop(self) -> None:
        """Store what is to be stored, and begin nothing more: what is in line then is taken up by the next process."""
        self._stopped = True
        if self._stop_listening is not None:
            self._stop_listening()
        self._timetable.stop()
        self._promises.stop()
        await self._book.stop()

    # Asked for

    async def ask(self, wish: Wish) -> tuple[Callback, bool]:
        """Somebody is to be called back: it is stored when this returns.  The callback, and whether it is new.

        Of a queue and a number there is one open callback: asking again gives that one.  Raises KeyError for an unknown
        queue, NotDialled with the reason when the number must not be called, NotNow when there are too many, ValueError for
        times that make no sense, StoreUnavailable: then nothing was asked for.
        """
        return await shielded(self._promises.make(wish), NotNow, StoreUnavailable)

    def take_over(self, number: str, queue: str) -> Callback | None:
        """The customer has called in and comes to this queue: the callback is over, and its place is the caller's.

        None: there is none, or the customer is on the line by it already.
        """
        callback = self._book.find(queue, number)
        if callback is None or callback.contact in self._progress.on_the_line:
            return None
        self._progress.end(callback, CallbackState.CALLED_IN, "the customer called in")
        return callback

    # Steered

    async def edit(self, name: str, change: Change, by: str) -> Callback:
        """Change one.  While it is in line and not dialled it leaves the line, keeps its place, and comes back changed.

        Raises KeyError when no such one is open or there is no such queue, NotNow, ValueError, StoreUnavailable.
        """
        values: dict[str, Any] = {one: value for one, value in change.values.items() if value is not None}
        if change.queue is not None and change.queue not in self._queues:
            raise KeyError(change.queue)

        def changed(callback: Callback) -> Callback:
            escalated = callback.escalated if change.due is None else 0.0
            new = evolve(callback, state=CallbackState.SCHEDULED, contact="", escalated=escalated, **values)
            if new.expires <= new.due:
                raise ValueError("it would expire before it is due")
            return new

        callback = await self._change(name, changed)
        self._telling.changed(callback, by)
        self._look(name)
        return callback

    async def call_now(self, name: str, by: str) -> Callback:
        """It is due now; quiet hours and the number of attempts hold all the same.  Raises as :meth:`edit`."""
        callback = self._book.open[name]
        if callback.state is CallbackState.IN_LINE:
            return callback
        return await self.edit(name, Change(due=self._clock.seconds()), by)

    async def cancel(self, name: str, by: str) -> Callback:
        """It is not made any more.  Raises as :meth:`edit`."""
        now, why = self._clock.seconds(), f"by {by}" if by else ""
        contact = self._book.open[name].contact
        callback = await self._change(name, lambda one: over(one, CallbackState.CANCELLED, why, now))
        self._telling.ended(callback, contact, by)
        return callback

    async def _change(self, name: str, changed: Callable[[Callback], Callback]) -> Callback:
        """Store another form of one whose customer is not being called.  Its contact leaves the line."""
        callback = self._book.open[name]
        if callback.contact in self._progress.on_the_line or callback.is_dialled:
            raise NotNow("the customer is being called just now")
        new = changed(callback)
        try:
            await shielded(self._book.promise(new), Changed, Taken, StoreUnavailable)
        except Changed:
            raise NotNow("something happened to it just now: look at it again") from None
        except Taken:
            raise NotNow("this number has another callback in that queue") from None
        self._progress.forget(new)
        self._progress.withdraw(callback.contact)
        return new

    # Seen

    async def one(self, name: str) -> Callback | None:
        """The one of that id, open or not.  Raises StoreUnavailable."""
        return self._book.open.get(name) or await self._shelf.one(name)

    async def find(self, wanted: Filter, limit: int) -> Sequence[Callback]:
        """Open or not, the latest first.  Raises StoreUnavailable."""
        return [self._book.open.get(one.id, one) for one in await self._shelf.find(wanted, limit)]

    def why(self, name: str) -> tuple[Later | None, str]:
        """Why an open one is not made yet, and in words; None: it is in line, or goes there now.  Raises KeyError."""
        callback = self._book.open[name]
        if callback.state is CallbackState.IN_LINE:
            return None, "it is in line"
        verdict = self._circumstances.judge(callback)
        return (verdict, in_words(verdict)) if isinstance(verdict, Later) else (None, "it goes into the line now")

    # One attempt

    def check(self, contact: str) -> None:
        """Whether the customer may be dialled for this contact at this very moment.  Raises NotNow with the reason."""
        callback = self._book.of_contact(contact)
        if callback is None:
            raise NotNow("the callback is over")
        verdict = self._circumstances.judge(callback)
        if isinstance(verdict, Later):
            raise NotNow(in_words(verdict))
        if isinstance(verdict, Over):
            raise NotNow(verdict.why)

    def not_dialled(self, contact: str, why: NotDialled) -> None:
        """The rules of dialling do not let the customer be called for this contact, which is about to end."""
        callback = self._book.of_contact(contact)
        if callback is not None and why.why is Why.CAPPED:
            now = self._clock.seconds()
            self._progress.put_off[contact] = now + max(CAPPED_SECONDS, why.seconds), str(why)
        elif callback is not None:
            self._progress.end(callback, CallbackState.REFUSED, str(why))

    # In time

    def _look(self, name: str) -> None:
        """Whether something is to be done about one now, and when that may be so next."""
        callback = self._book.open.get(name)
        self._progress.due.discard(name)
        if callback is None or callback.queue not in self._queues or self._stopped:
            return
        now = self._clock.seconds()
        if not callback.escalated and self._circumstances.is_late(callback):
            callback = evolve(callback, escalated=now)
            self._progress.keep(callback)
            self._telling.late(callback)
        if callback.state is CallbackState.IN_LINE:
            if now >= callback.expires and callback.contact not in self._progress.on_the_line and not callback.is_dialled:
                self._progress.end(callback, CallbackState.EXPIRED, "it was in line until it expired")
            else:
                self._timetable.at(name, now + LOOKED_AT_EVERY)
            return
        match self._circumstances.judge(callback):
            case Begin(owner):
                self._begin(callback, owner)
            case Over(state, why):
                self._progress.end(callback, state, why)
            case Later(_, until):
                is_due = now >= callback.due
                if is_due:
                    self._progress.due.add(name)
                self._timetable.at(name, min(until, now + LOOKED_AT_EVERY) if is_due else until)

    def _begin(self, callback: Callback, owner: str) -> None:
        if callback.id not in self._beginning:
            self._beginning.add(callback.id)
            unattended(self._into_line(callback, owner))

    async def _into_line(self, callback: Callback, owner: str) -> None:
        """It is stored as in line, and then its contact begins: nothing is in line twice, whenever the process ends."""
        new = begun(callback, self._new_id(), self._clock.seconds())
        try:
            await self._book.promise(new)
        except StoreUnavailable as why:
            log.warn("callback {id} is made when the database is back: {why}", id=callback.id, why=str(why))
            self._timetable.at(callback.id, self._clock.seconds() + AGAIN_SECONDS)
            return
        except Changed:
            self._timetable.at(callback.id, self._clock.seconds())
            return
        finally:
            self._beginning.discard(callback.id)
        if self._stopped:
            return
        self._telling.begun(new)
        self._contacts.call_back(new, owner)
        self._timetable.at(new.id, self._clock.seconds() + LOOKED_AT_EVERY)

    # What happens

    def _told(self, sequence: int, event: Event) -> None:
        number = self._sources.number_of(event.contact)
        lost = self._sources.take(event)
        callback = self._book.of_contact(event.contact) if event.contact else None
        match event:
            case ContactArrived(direction=Direction.INBOUND):
                self._calls_in(event.contact)
            case CallDialled(purpose="customer") if callback is not None and not callback.is_dialled:
                self._progress.keep(dialled(callback, event.at, event.agent))
            case CallFailed() if callback is not None:
                self._causes[event.contact] = event.cause
            case CallAnswered() if callback is not None:
                self._progress.on_the_line.add(event.contact)
            case Answered():
                self._talks(event, callback, number)
            case ContactEnded():
                self._ended(event, callback)
                if lost is not None:
                    self._promises.was_lost(lost, self._contacts.live.get(event.contact))
                for other in self._book.of_number(number):
                    self._progress.soon(other.id)
            case AgentChanged() | AgentAssigned():
                self._staff_changed(event.agent)

    def _calls_in(self, contact: str) -> None:
        """A customer who is to be called is on the line, and not called meanwhile."""
        for callback in self._book.of_number(self._sources.number_of(contact)):
            self._progress.withdraw(callback.contact)

    def _talks(self, event: Answered, callback: Callback | None, number: str) -> None:
        """An agent and a customer talk."""
        if callback is not None:
            self._progress.reached(callback, event.agent)
        elif number and (other := self._book.find(event.queue, number)) is not None:
            self._progress.end(other, CallbackState.MET, f"{event.agent} talks with the customer")

    def _ended(self, event: ContactEnded, callback: Callback | None) -> None:
        if callback is not None:
            self._progress.settle(callback, event.outcome, self._causes.get(event.contact, 0))
        self._progress.on_the_line.discard(event.contact)
        self._resuming.left.discard(event.contact)
        self._causes.pop(event.contact, None)
        self._progress.put_off.pop(event.contact, None)

    def _staff_changed(self, agent: str) -> None:
        """Who waits for somebody to be there is looked at when somebody is."""
        if gained := self._circumstances.agent_changed(agent):
            for name in self._progress.due:
                callback = self._book.open.get(name)
                if callback is not None and callback.queue in gained:
                    self._progress.soon(name)
