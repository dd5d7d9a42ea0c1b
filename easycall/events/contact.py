"""The facts of a contact as a whole: how it came, what is known of it, how it ended."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from easycall.events.base import Event
from easycall.model import Direction, EndedBy, Outcome
from easycall.policy import Channel

__all__ = [
    "CallEnding",
    "ContactArrived",
    "ContactEnded",
    "DataAttached",
    "DispositionSet",
    "SessionJoined",
    "TransactionReported",
]


@frozen(kw_only=True)
class ContactArrived(Event):
    """A caller reached us, or a customer is to be called: the session id exists from here."""

    kind = "contact.arrived"
    pbx: str
    leg: str
    caller: str
    caller_name: str
    dialled: str
    direction: Direction = Direction.INBOUND
    channel: Channel = Channel.CALL
    session: str = ""
    """The first contact of the same matter, of one that calls back (see also :class:`SessionJoined`); empty: its own."""
    callback: str = ""
    """The callback that it is an attempt of; empty: of none."""


@frozen(kw_only=True)
class SessionJoined(Event):
    """The customer was to be called back, and has called in: the contact is of that session, and the callback is over."""

    kind = "contact.joined"
    session: str
    callback: str
    waited: float = 0.0
    """How long the customer waited in earlier contacts of the session, in seconds."""


@frozen(kw_only=True)
class DataAttached(Event):
    """Data that travels with the contact changed; an empty value took one away."""

    kind = "data.attached"
    data: Mapping[str, str] = field(factory=dict)


@frozen(kw_only=True)
class DispositionSet(Event):
    """An agent said what came of the contact; the latest counts."""

    kind = "contact.disposition"
    queue: str
    disposition: str
    by: str = ""
    """The name of the API token."""


@frozen(kw_only=True)
class TransactionReported(Event):
    """A flow or a system outside says which business was done with the contact, and how that went.

    Of those with the same name and reference the latest counts.  Nothing secret is ever in it.
    """

    kind = "contact.transaction"
    name: str
    """What was done: ``payment``, ``order``."""
    outcome: str
    """How it went: ``ok``, ``refused``, ``placed``."""
    reference: str = ""
    """What the other system calls it."""
    amount: str = ""
    """A decimal number such as ``120.00``; empty: there is none."""
    currency: str = ""
    """Three capitals (ISO 4217), with an amount."""
    data: Mapping[str, str] = field(factory=dict)
    node: str = ""
    """The node of the flow that says so, ``FLOW:NODE``; empty: the API does."""
    by: str = ""
    """The name of the API token; empty: a flow says so."""


@frozen(kw_only=True)
class CallEnding(Event):
    """The contact has lasted nearly as long as it may, and is ended in so many seconds."""

    kind = "call.ending"
    seconds: float


@frozen(kw_only=True)
class ContactEnded(Event):
    """The caller's leg is gone and the contact closed: its last event."""

    kind = "contact.ended"
    outcome: Outcome
    ended_by: EndedBy
    end_estimated: bool = False
    """The leg was found gone: it went some time before ``at``, while the link to its Asterisk was away."""
