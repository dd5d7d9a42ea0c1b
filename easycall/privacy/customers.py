"""What is known of one customer: told, and erased, on request.

Who is on the line is not erased; who is only to be called back is not called any more.  An erasure is a row of small steps,
each of which may be the last one: the callbacks, then of each contact the files first, then its events, its record last of
all, so that what is not done is found again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial

from attrs import define, evolve, field
from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import IReactorTime

from easycall.config import DialingSettings
from easycall.defer import shielded, start
from easycall.events import CallbackAsked, CustomerErased
from easycall.fax.inbox import ReceivedFax
from easycall.model import Contact, Message
from easycall.ports import StoreUnavailable
from easycall.privacy.anonymous import anonymous, shown_forms, without
from easycall.privacy.holdings import Callbacks, Erased, Holding, Inbox, Journal, Shelf, VoiceMails
from easycall.privacy.retention import Sounds
from easycall.stats.codec import decode, encode
from easycall.verbs import NotNow

__all__ = ["Customers"]

PIECE = 20
"""Contacts looked for at once,"""
EVENTS = 500
"""events rewritten in one transaction,"""
CALLS = 1_000
"""and numbers that were told looked at at once."""
SCANS = 100
"""So many searches that were broken off go on where they were."""


@define
class _Work:
    """One go at an erasure."""

    forms: frozenset[str]
    until: float
    erased: Erased = field(factory=Erased)

    def count(self, **more: int) -> None:
        self.erased = evolve(self.erased, **{what: getattr(self.erased, what) + n for what, n in more.items()})


class Customers:
    """See the module."""

    def __init__(
        self,
        settings: DialingSettings,
        shelf: Shelf,
        journal: Journal,
        clock: IReactorTime,
        *,
        live: Callable[[], Mapping[str, Contact]],
        forget: Callable[[str], None],
        sounds: Sounds | None = None,
        voice_mails: VoiceMails | None = None,
        inbox: Inbox | None = None,
        callbacks: Callbacks | None = None,
    ) -> None:
        """``live``: the contacts of now; ``forget``: what is only in memory of a number; ``callbacks``: that are open."""
        self._settings = settings
        self._shelf = shelf
        self._journal = journal
        self._clock = clock
        self._live = live
        self._forget = forget
        self._sounds = sounds
        self._voice_mails = voice_mails
        self._inbox = inbox
        self._callbacks = callbacks
        self._one_by_one = DeferredLock()
        self._scanned: dict[frozenset[str], tuple[float, int]] = {}
        """How far the numbers that were told were looked at for a number whose erasure is not done."""

    async def holding(self, number: str, after: str, limit: int) -> Holding:
        """What is known of a customer; of the records those behind ``after``.

        Raises ValueError for what is no number, StoreUnavailable, OSError.
        """
        forms = self._forms(number)
        await self._journal.flush()
        contacts = await self._shelf.contacts(forms, after, limit)
        voicemails = await self._messages(forms, ())
        faxes = self._faxes(forms, ())
        callbacks = await self._shelf.callbacks(forms)
        return Holding(await self._shelf.count(forms), contacts, voicemails, faxes, callbacks)

    async def erase(self, number: str, by: str, seconds: float) -> Erased:
        """Erase what is known of a customer, for about so many seconds: what is not :attr:`~Erased.done` then goes on when
        it is asked for again.

        Raises ValueError for what is no number, NotNow while the customer is on the line, or waits, StoreUnavailable, and
        OSError when a file cannot be removed.
        """
        work = _Work(self._forms(number), 0.0)

        async def in_turn() -> Erased:
            return await self._one_by_one.run(lambda: start(self._go(work, by, seconds)))

        return await shielded(in_turn(), NotNow, StoreUnavailable)

    def _forms(self, number: str) -> frozenset[str]:
        forms = shown_forms(number, self._settings)
        if not forms:
            raise ValueError(f"{number[:40]!r} is no telephone number")
        return forms

    async def _go(self, work: _Work, by: str, seconds: float) -> Erased:
        if not await self._cancel_callbacks(work.forms, by):
            return work.erased
        self._check_absent(work.forms)
        work.until = self._clock.seconds() + seconds
        await self._journal.flush()
        try:
            done = await self._erase_all(work)
            work.erased = evolve(work.erased, done=done)
        finally:
            self._tell(work.erased, by)
        return work.erased

    def _tell(self, erased: Erased, by: str) -> None:
        """Say what was erased, as the first event of another file of the journal: so those before it can go.

        Of one that is done this is told also when there was nothing left: a daemon before may have died in the middle.
        """
        if erased == Erased():
            return
        self._journal.turn_page()
        self._journal.record(
            CustomerErased(
                at=self._clock.seconds(),
                contacts=erased.contacts,
                recordings=erased.recordings,
                voicemails=erased.voicemails,
                faxes=erased.faxes,
                requests=erased.requests,
                callbacks=erased.callbacks,
                by=by,
            )
        )
        self._journal.write()

    async def _cancel_callbacks(self, forms: frozenset[str], by: str) -> bool:
        """Those that are open, unless the customer is on the line otherwise: then nothing is changed.

        False: a contact of one of them is about to end.
        """
        await self._journal.flush()  # by records those are found that are to another number
        found = {one.id for one in await self._shelf.callbacks(forms) if one.open}
        self._check_absent(forms, found)
        if self._callbacks is not None:
            for callback in sorted(found):
                with suppress(KeyError):
                    await self._callbacks.cancel(callback, by)
        return not any(contact.callback in found for contact in self._live().values())

    def _check_absent(self, forms: frozenset[str], callbacks: Collection[str] = ()) -> None:
        """Raises NotNow for any contact of the customer's but attempts of these callbacks."""
        for contact in self._live().values():
            if contact.callback not in callbacks and forms & shown_forms(contact.customer, self._settings):
                raise NotNow(f"the customer is on the line, or waits, in contact {contact.id}: try again when it has ended")

    async def _erase_all(self, work: _Work) -> bool:
        for number in work.forms:
            self._forget(number)
        await self._remove_callbacks(work)
        while contacts := await self._shelf.contacts(work.forms, "", PIECE):
            messages = await self._messages(work.forms, contacts)
            for contact in contacts:
                await self._erase(work, contact, [one for one in messages if one.contact == contact])
                if self._clock.seconds() >= work.until:
                    return False
        for message in await self._messages(work.forms, ()):
            await self._remove_message(work, message)
        await self._remove_faxes(work, ())
        while requests := await self._shelf.requests(work.forms, PIECE):
            await self._shelf.remove_requests(requests)
            work.count(requests=len(requests))
        return await self._as_somebody_outside(work)

    async def _remove_callbacks(self, work: _Work) -> None:
        """Before the contacts, for the sake of those that are to another number."""
        found = [one.id for one in await self._shelf.callbacks(work.forms)]
        for first in range(0, len(found), PIECE):
            piece = found[first : first + PIECE]
            await self._shelf.remove_callbacks(piece)
            work.count(callbacks=len(piece))

    async def _erase(self, work: _Work, contact: str, messages: Sequence[Message]) -> None:
        """One contact: its files, its events, its record."""
        for _, file in await self._shelf.sounds(contact):
            if self._sounds is not None and await self._sounds.remove(file):
                work.count(recordings=1)
        for message in messages:
            await self._remove_message(work, message)
        await self._remove_faxes(work, (contact,))
        await self._rewrite(contact, lambda kind, body: encode(anonymous(decode(kind, body))))
        await self._shelf.make_anonymous(contact)
        work.count(contacts=1)

    async def _rewrite(self, contact: str, change: Callable[[str, str], str]) -> None:
        """Change the events of a contact, some at a time."""
        after = 0
        while page := await self._shelf.events(contact, after, EVENTS):
            after = page[-1][0]
            await self._change(page, change)

    async def _change(self, page: Sequence[tuple[int, str, str]], change: Callable[[str, str], str]) -> None:
        changed: list[tuple[int, str]] = []
        unreadable: list[int] = []
        for seq, kind, body in page:
            try:
                new = change(kind, body)
            except ValueError:
                unreadable.append(seq)
            else:
                if new != body:
                    changed.append((seq, new))
        if changed or unreadable:
            await self._shelf.rewrite(changed, unreadable)

    async def _as_somebody_outside(self, work: _Work) -> bool:
        """The number in contacts of other customers, who was consulted or to whom one was given; and in no contact at all,
        who was to be called back."""
        after = self._scanned.pop(work.forms, (-1.0, 0))
        change = partial(_of_outsider, work.forms)
        while page := await self._shelf.told(after, CALLS):
            after = page[-1].at, page[-1].seq
            named = [one for one in page if _names(one.body, work.forms)]
            for contact in sorted({one.contact for one in named} - {"", *self._live()}):
                await self._rewrite(contact, change)
            await self._change([(one.seq, one.kind, one.body) for one in named if not one.contact], change)
            if self._clock.seconds() >= work.until:
                self._scanned[work.forms] = after
                if len(self._scanned) > SCANS:
                    del self._scanned[next(iter(self._scanned))]
                return False
        return True

    # Files

    async def _messages(self, forms: frozenset[str], contacts: Collection[str]) -> Sequence[Message]:
        if self._voice_mails is None:
            return ()
        settings = self._settings

        def wanted(message: Message) -> bool:
            return message.contact in contacts or not forms.isdisjoint(shown_forms(message.caller, settings))

        return await self._voice_mails.of(wanted)

    async def _remove_message(self, work: _Work, message: Message) -> None:
        if self._voice_mails is not None and await self._voice_mails.remove(message.id):
            work.count(voicemails=1)

    def _faxes(self, forms: frozenset[str], contacts: Collection[str]) -> Sequence[ReceivedFax]:
        if self._inbox is None:
            return ()
        settings = self._settings
        return self._inbox.of(lambda fax: fax.contact in contacts or not forms.isdisjoint(shown_forms(fax.caller, settings)))

    async def _remove_faxes(self, work: _Work, contacts: Collection[str]) -> None:
        for fax in self._faxes(work.forms, contacts):
            if self._inbox is not None and await self._inbox.remove(fax.id):
                work.count(faxes=1)


def _names(body: str, forms: Collection[str]) -> bool:
    return any(f'"{form}"' in body for form in forms)


def _of_outsider(forms: Collection[str], kind: str, body: str) -> str:
    """An event that is not of the customer's own contacts without the customer."""
    if kind == CallbackAsked.kind and _names(body, forms):
        return encode(anonymous(decode(kind, body)))  # it says what the callback is about, too
    return without(body, forms)
