"""The daemon begins: what the process before it left of callbacks goes on, and what it was about to do is done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import evolve
from twisted.internet.interfaces import IReactorTime

from easycall.callback.around import Carriers, History, StoredEvents
from easycall.callback.book import Book
from easycall.callback.broken_off import broken_off
from easycall.callback.lifecycle import dialled, over, settled
from easycall.callback.past import Past, past_of
from easycall.callback.progress import Progress
from easycall.callback.promises import Promises
from easycall.callback.shelf import Shelf
from easycall.callback.sources import Sources
from easycall.callback.telling import Telling
from easycall.events import ContactArrived, ContactEnded, Event, OfferEnded
from easycall.model import Callback, EndedBy, OfferOutcome, Outcome, Queue
from easycall.recovery.left_off import left_off

__all__ = ["Resuming"]


class Resuming:
    """See the module."""

    def __init__(
        self,
        book: Book,
        shelf: Shelf,
        journal: History,
        contacts: Carriers,
        sources: Sources,
        telling: Telling,
        promises: Promises,
        progress: Progress,
        past: StoredEvents,
        queues: Mapping[str, Queue],
        clock: IReactorTime,
        number_of: Callable[[str], str],
    ) -> None:
        self._book = book
        self._shelf = shelf
        self._journal = journal
        self._contacts = contacts
        self._sources = sources
        self._telling = telling
        self._promises = promises
        self._progress = progress
        self._past = past
        self._queues = queues
        self._clock = clock
        self._number_of = number_of
        self._began = clock.seconds()
        self._knows_the_past = False
        self.left: set[str] = set()
        """Attempts that the process before us began and did not end, and that have no leg."""

    def take_up_stories(self) -> None:
        """What was told of contacts before this process."""
        stories = self._journal.left.stories
        self.left = {contact for contact, story in stories.items() if _is_attempt(story)} - self._contacts.live.keys()
        for contact in self._contacts.live.values():
            if contact.id not in stories:
                self._sources.resume(contact)
            for _, event in stories.get(contact.id, ()):
                self._sources.take(event)

    async def catch_up(self) -> None:
        """Do what the process before us was about to do.  Raises StoreUnavailable: then nothing was done."""
        if self._knows_the_past:
            return
        await self._journal.catch_up()
        before = await broken_off(self._past, self._journal.last, self._began, self._number_of)
        for name in sorted(before.ended.keys() & self._book.open.keys()):  # it could not be stored any more
            how = before.ended[name]
            self._book.keep(over(self._book.open[name], how.state, how.why, how.at))
        gone = before.asked.keys() - before.ended.keys() - self._book.open.keys()
        untold = [one for name in sorted(gone) if (one := await self._shelf.one(name)) is not None and not one.open]
        for callback in untold:
            self._telling.ended(callback)
        led = {(lost.queue, lost.number): lost.contact for lost in before.lost}
        for callback in self._book.open.values():
            if callback.created >= before.since and callback.id not in before.asked:
                self._telling.untold(callback, led.get((callback.queue, callback.number), callback.session))
            elif (terms := before.asked.get(callback.id)) is not None and not terms.holds(callback):
                self._telling.changed(callback, "")
        for lost in before.lost:
            story = await self._journal.events_of(lost.contact)
            known = left_off(event for event in story if not isinstance(event, ContactEnded))
            self._promises.was_lost(lost, known.contact if known is not None else None)
        self._knows_the_past = True

    async def resume(self, callback: Callback) -> None:
        """It was in line when the process before us ended: what the journal tells of its contact counts."""
        past = past_of(await self._journal.events_of(callback.contact))
        if past.rang is not None and not callback.is_dialled:
            callback = dialled(callback, past.rang.at, past.rang.agent)
        if past.answered and past.ended is None:
            self._progress.on_the_line.add(callback.contact)
        contact = self._contacts.live.get(callback.contact)
        if past.over is not None or past.settled is not None:
            self._stores_what_was_told(callback, past)
        elif past.met is not None:
            self._progress.reached(callback, past.met.agent)
        elif past.ended is not None:
            self._progress.settle(callback, past.ended.outcome, past.cause)
        elif contact is not None:
            contact.reason, contact.waited = callback.reason, callback.waited
            contact.answers |= callback.answers
            self._progress.keep(callback)
        elif past.rang is not None:
            self._progress.settle(callback, Outcome.FAILED, past.cause)
        else:
            await self._waits_again(callback, past)

    def _stores_what_was_told(self, callback: Callback, past: Past) -> None:
        """The process before us told what came of it, and had no time to store it: it is not told again."""
        rules, at, agent = self._queues[callback.queue].callback, self._clock.seconds(), ""
        outcome = past.ended.outcome if past.ended is not None else Outcome.CANCELLED
        if past.met is not None:
            outcome, agent = Outcome.ANSWERED, past.met.agent
        new = settled(callback, rules, outcome, at, cause=past.cause, agent=agent)
        if past.over is not None:
            new = over(new, past.over.state, past.over.why, past.over.at)
        elif past.settled is not None and new.open:
            new = evolve(new, due=past.settled.due)
        self._progress.keep(new)
        if past.met is None:
            self._progress.withdraw(callback.contact)

    async def _waits_again(self, callback: Callback, past: Past) -> None:
        """Its contact is in line again, in its place; an agent who was rung is rung anew."""
        await self._journal.resume(callback.contact)
        if not past.begun:
            self._telling.begun(callback)
        if (offer := past.offer) is not None:
            which: dict[str, Any] = {"agent": offer.agent, "attempt": offer.attempt, "outcome": OfferOutcome.LOST}
            self._journal.record(OfferEnded(at=self._clock.seconds(), contact=callback.contact, **which))
        told: dict[str, Any] = {"restored": True, "arrived": past.arrived, "attempts": past.attempts}
        contact = self._contacts.call_back(callback, callback.agent, **told)
        if past.arrived:
            self._sources.resume(contact)

    def end_left(self) -> None:
        """An attempt of a callback that is over, or was put off, in the moment in which the process before us ended."""
        how: dict[str, Any] = {"outcome": Outcome.CANCELLED, "ended_by": EndedBy.SYSTEM, "end_estimated": True}
        for contact in sorted(self.left):
            if self._book.of_contact(contact) is None:
                self._journal.record(ContactEnded(at=self._clock.seconds(), contact=contact, **how))
        self.left.clear()


def _is_attempt(story: Iterable[tuple[int, Event]]) -> bool:
    """Whether the story of a contact is that of an attempt to call back."""
    return any(isinstance(event, ContactArrived) and event.callback for _, event in story)
