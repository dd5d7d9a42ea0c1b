"""New callbacks: asked for, or of contacts that were lost.  Each is stored before anybody is told that it will be done."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from easycall.callback.book import Book
from easycall.callback.shelf import Shelf, Taken
from easycall.callback.sources import Lost
from easycall.callback.telling import Telling
from easycall.callback.wish import Wish
from easycall.defer import unattended
from easycall.model import Callback, CallbackSource, Contact, Queue
from easycall.outbound.dialling import Dialling
from easycall.outbound.rules import NotDialled, Why
from easycall.ports import StoreUnavailable
from easycall.verbs import NotNow

__all__ = ["Promises"]

log = Logger()

ROOM = 10_000
"""So many may be open; whoever asks for more hears that."""
AGAIN_SECONDS = 5.0
"""How long after the database was away it is tried again."""
DAY = 24 * 3600.0


class Promises:
    """See the module."""

    def __init__(
        self,
        book: Book,
        shelf: Shelf,
        telling: Telling,
        clock: IReactorTime,
        new_id: Callable[[], str],
        dialling: Dialling,
        queues: Mapping[str, Queue],
        made: Callable[[str], None],
    ) -> None:
        """``made``: called with the id of each new one."""
        self._book = book
        self._shelf = shelf
        self._telling = telling
        self._clock = clock
        self._new_id = new_id
        self._dialling = dialling
        self._queues = queues
        self._made = made
        self._unmade: deque[Wish] = deque()
        """What nobody asked for and could not be stored yet."""
        self._timer: IDelayedCall | None = None
        self._ready = False

    def begin(self) -> None:
        """Those that are open are known now: others can be told from them."""
        self._ready = True
        self._later(0.0)

    def stop(self) -> None:
        """Make no more."""
        self._ready = False
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    async def make(self, wish: Wish) -> tuple[Callback, bool]:
        """Store a new one, or give the one that is open of its queue and number.  See :meth:`Callbacks.ask`."""
        if not self._ready:
            raise StoreUnavailable("callbacks could not be read yet")
        queue, now = self._queues[wish.queue], self._clock.seconds()
        number = self._dialling.may_be_called(wish.number)
        if (known := self._book.find(queue.id, number)) is not None:
            return known, False
        if len(self._book.open) >= ROOM:
            raise NotNow(f"{ROOM} callbacks are open")
        most = queue.callback.asked_per_day
        if wish.source is not CallbackSource.REQUESTED and await self._shelf.asked(number, now - DAY) >= most:
            raise NotDialled(Why.CAPPED, f"{number} had {most} callbacks in 24 hours")
        callback = self._form(wish, queue, number, now)
        try:
            await self._book.promise(callback)
        except Taken:
            if (known := self._book.find(queue.id, number)) is not None:
                return known, False
            if (known := await self._book.take_up(queue.id, number)) is None:
                raise NotNow("another callback of this number was made just now: ask again") from None
            callback = known
        self._telling.asked(callback, wish)
        self._made(callback.id)
        return callback, True

    def _form(self, wish: Wish, queue: Queue, number: str, now: float) -> Callback:
        due = max(now, wish.due)
        expires = wish.expires or due + queue.callback.expires_seconds
        if expires <= due:
            raise ValueError("it would expire before it is due")
        return Callback(
            self._new_id(),
            queue.id,
            number,
            wish.source,
            created=now,
            due=due,
            expires=expires,
            since=wish.since,
            session=wish.session,
            agent=wish.agent,
            name=wish.name,
            zone=wish.zone,
            skills=wish.skills,
            priority_seconds=wish.priority_seconds,
            reason=wish.reason,
            waited=wish.waited,
            answers=dict(wish.answers),
            data=dict(wish.data),
            created_by=wish.by,
        )

    # Those nobody asks for

    def was_lost(self, lost: Lost, contact: Contact | None) -> None:
        """Somebody was not served, and is called back if the queue does so.  ``contact``: as it was, if it is known."""
        queue = self._queues.get(lost.queue)
        if queue is None or lost.source not in queue.callback.of:
            return
        rules = queue.callback
        if lost.source is CallbackSource.ABANDONED and lost.waited < rules.min_wait_seconds:
            return
        unanswered = lost.source is CallbackSource.UNANSWERED
        seconds = rules.delay(lost.outcome) if unanswered else rules.after_seconds
        if seconds is None or len(self._unmade) >= ROOM:
            return
        wish = Wish(
            lost.queue,
            lost.number,
            lost.source,
            due=self._clock.seconds() + seconds,
            agent=lost.agent,
            name=lost.name,
            waited=lost.waited + (contact.waited if contact is not None else 0.0),
            session=lost.session,
            contact=lost.contact,
            skills=contact.skills.text if contact is not None else "",
            answers=dict(contact.answers) if contact is not None else {},
            data=dict(contact.data) if contact is not None else {},
        )
        self._unmade.append(wish)
        self._later(0.0)

    def _later(self, seconds: float) -> None:
        if self._ready and self._unmade and (self._timer is None or not self._timer.active()):
            self._timer = self._clock.callLater(seconds, lambda: unattended(self._make_all()))

    async def _make_all(self) -> None:
        while self._unmade:
            wish = self._unmade[0]
            try:
                await self.make(wish)
            except StoreUnavailable as why:
                log.warn("contact {contact} is called back when the database is there: {why}", contact=wish.contact, why=why)
                return self._later(AGAIN_SECONDS)
            except (NotNow, ValueError, KeyError) as why:
                log.info("contact {contact} is not called back: {why}", contact=wish.contact, why=str(why))
            if self._unmade and self._unmade[0] is wish:
                self._unmade.popleft()
        return None
