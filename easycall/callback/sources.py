"""Which contacts become callbacks, and who is on the line with us: a fold over events.  Pure."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, frozen

from easycall.events import (
    Answered,
    CallDialled,
    ContactArrived,
    ContactEnded,
    Event,
    Queued,
    QueueOverflowed,
    VoicemailLeft,
)
from easycall.model import CallbackSource, Contact, Direction, EndedBy, Outcome
from easycall.policy import Channel

__all__ = ["Lost", "Sources"]

_OF_INBOUND = {
    Outcome.ABANDONED: CallbackSource.ABANDONED,
    Outcome.CLOSED: CallbackSource.CLOSED,
    Outcome.FULL: CallbackSource.FULL,
    Outcome.OVERFLOWED: CallbackSource.FULL,
    Outcome.FAILED: CallbackSource.OUTAGE,
}
_OF_OUTBOUND = {Outcome.BUSY: CallbackSource.UNANSWERED, Outcome.NO_ANSWER: CallbackSource.UNANSWERED}
_SPOKEN = frozenset({Channel.CALL, Channel.CALLBACK, Channel.CALL_ME})


@frozen
class Lost:
    """A contact that has ended, and whose customer talked with nobody and left no message."""

    contact: str
    session: str
    source: CallbackSource
    outcome: Outcome
    queue: str
    number: str
    """In full form."""
    name: str
    waited: float
    """How long the customer was in the queue, in seconds."""
    agent: str
    """For whom the customer was called; empty: for nobody."""


@define
class _Contact:
    """A live one."""

    number: str
    name: str
    session: str
    direction: Direction
    channel: Channel
    agent: str = ""
    queue: str = ""
    joined: float | None = None
    """When the customer came to the queue."""
    served: bool = False
    """The customer has talked with an agent, or left a message."""


class Sources:
    """All live contacts of customers whose number is known."""

    def __init__(self, number_of: Callable[[str], str] = str) -> None:
        """``number_of``: the number a customer is known by, of one as shown; empty: withheld."""
        self._number_of = number_of
        self._contacts: dict[str, _Contact] = {}
        self._there: dict[str, set[str]] = {}
        """Number -> the contacts in which the customer is on the line with us, or is being called."""

    def on_the_line(self, number: str, but: str = "") -> bool:
        """Whether the customer is on the line with us, or is being called, in another contact than ``but``."""
        return bool(self._there.get(number, set()) - {but})

    def number_of(self, contact: str) -> str:
        """The customer's number in a live contact, in full form; empty: it is not known."""
        known = self._contacts.get(contact)
        return known.number if known is not None else ""

    def resume(self, contact: Contact) -> None:
        """A contact goes on whose story is not known."""
        inbound = contact.direction is Direction.INBOUND
        number = self._number_of(contact.caller) if inbound else contact.dialled
        session = contact.session or contact.id
        known = _Contact(number, contact.caller_name, session, contact.direction, contact.channel, contact.agent)
        known.queue = contact.queue
        self._add(contact.id, known)
        if inbound or contact.pbx:
            self._is_there(contact.id)

    def take(self, event: Event) -> Lost | None:
        """One more event; somebody who was lost with it."""
        if isinstance(event, ContactArrived):
            inbound = event.direction is Direction.INBOUND
            number = self._number_of(event.caller) if inbound else event.dialled
            session = event.session or event.contact
            known = _Contact(number, event.caller_name, session, event.direction, event.channel, event.agent)
            self._add(event.contact, known)
            if inbound:
                self._is_there(event.contact)
            return None
        of = self._contacts.get(event.contact)
        if of is None:
            return None
        match event:
            case Queued() | QueueOverflowed():
                of.joined = event.at if of.joined is None or of.queue != event.queue else of.joined
                of.queue = event.queue
            case CallDialled(purpose="customer"):
                of.queue = event.queue
                self._is_there(event.contact)
            case Answered() | VoicemailLeft():
                of.served = True
            case ContactEnded():
                return self._ends(of, event)
        return None

    def _add(self, contact: str, known: _Contact) -> None:
        if not known.number or known.channel not in _SPOKEN:
            return
        self._contacts[contact] = known

    def _is_there(self, contact: str) -> None:
        if (known := self._contacts.get(contact)) is not None:
            self._there.setdefault(known.number, set()).add(contact)

    def _ends(self, known: _Contact, event: ContactEnded) -> Lost | None:
        del self._contacts[event.contact]
        there = self._there.get(known.number, set())
        there.discard(event.contact)
        if not there:
            self._there.pop(known.number, None)
        source = _source(known, event)
        if source is None or known.served or not known.queue:
            return None
        waited = max(0.0, event.at - known.joined) if known.joined is not None else 0.0
        who = known.queue, known.number, known.name, waited, known.agent
        return Lost(event.contact, known.session, source, event.outcome, *who)


def _source(known: _Contact, event: ContactEnded) -> CallbackSource | None:
    if known.channel is not Channel.CALL:
        return None  # a callback has its own ladder
    if known.direction is Direction.OUTBOUND:
        return _OF_OUTBOUND.get(event.outcome)
    if event.outcome is Outcome.ABANDONED and event.ended_by is EndedBy.SYSTEM:
        return CallbackSource.OUTAGE
    if event.outcome is Outcome.ABANDONED and event.ended_by in (EndedBy.API, EndedBy.AGENT):
        return None  # one of ours hung up, and meant it
    return _OF_INBOUND.get(event.outcome)
