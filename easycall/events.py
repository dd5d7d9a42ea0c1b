"""The facts: what happened, as immutable values.

The journal numbers and keeps them; records, figures and the live feed are folds over them.  Every event carries ``at``, the
moment it happened, in seconds since the epoch.  ``kind`` is its public name in the journal, the API and the live feed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from attrs import field, frozen

from easycall.model import AgentState, EndedBy, FaxOutcome, OfferOutcome, Outcome

__all__ = [
    "KINDS",
    "AgentChanged",
    "Answered",
    "ConsultAnswered",
    "ConsultEnded",
    "ConsultStarted",
    "ContactArrived",
    "ContactEnded",
    "Corrected",
    "DataAttached",
    "Event",
    "FaxEnded",
    "FaxProgress",
    "FaxReceived",
    "FaxStarted",
    "FlowStep",
    "Held",
    "Lent",
    "LoanEnded",
    "MenuAnswered",
    "OfferEnded",
    "Offered",
    "PbxDown",
    "PbxUp",
    "Queued",
    "Retrieved",
    "ScreenPop",
    "ScreenPopRevoked",
    "TalkEnded",
    "Transferred",
]


@frozen(kw_only=True)
class Event:
    """Something that happened."""

    kind: ClassVar[str] = ""
    at: float
    contact: str = ""
    agent: str = ""


@frozen(kw_only=True)
class ContactArrived(Event):
    """A caller reached us: the session id exists from here."""

    kind = "contact.arrived"
    pbx: str
    leg: str
    caller: str
    caller_name: str
    dialled: str


@frozen(kw_only=True)
class FlowStep(Event):
    """The caller reached a node of an IVR flow."""

    kind = "ivr.step"
    flow: str
    node: str


@frozen(kw_only=True)
class MenuAnswered(Event):
    """The caller chose.  The name of the choice, never the keys."""

    kind = "ivr.answered"
    node: str
    choice: str


@frozen(kw_only=True)
class Queued(Event):
    """The contact began to wait."""

    kind = "queue.entered"
    queue: str
    position: int
    since: float = 0.0
    """When it counts as having joined: earlier than now for one who comes back to an old place or to the front."""


@frozen(kw_only=True)
class Offered(Event):
    """An agent was reserved for the contact and the phone is being rung."""

    kind = "offer.made"
    queue: str
    attempt: int


@frozen(kw_only=True)
class ScreenPop(Event):
    """The agent's phone rings: what the agent's screen shows with it."""

    kind = "screen.pop"
    attempt: int
    caller: str
    caller_name: str
    dialled: str
    queue: str
    waited: float
    """Seconds since the contact joined the queue."""
    by: str = ""
    """The agent who asks for this one: a consultation or a transfer; empty when the queue does."""
    answers: Mapping[str, str] = field(factory=dict)
    data: Mapping[str, str] = field(factory=dict)


@frozen(kw_only=True)
class ScreenPopRevoked(Event):
    """The offer ended elsewhere: the agent's screen drops the pop of this contact and attempt."""

    kind = "screen.revoked"
    attempt: int
    outcome: OfferOutcome


@frozen(kw_only=True)
class OfferEnded(Event):
    """An offer came to its end."""

    kind = "offer.ended"
    attempt: int
    outcome: OfferOutcome


@frozen(kw_only=True)
class Answered(Event):
    """Caller and agent are bridged: they talk from now."""

    kind = "talk.started"
    queue: str
    waited: float


@frozen(kw_only=True)
class Held(Event):
    """The agent put the customer on hold: the customer hears music, the agent nothing of the customer."""

    kind = "talk.held"


@frozen(kw_only=True)
class Retrieved(Event):
    """Customer and agent are together again."""

    kind = "talk.retrieved"


@frozen(kw_only=True)
class ConsultStarted(Event):
    """The agent asks another one, whose phone is rung; the customer hears music."""

    kind = "consult.started"
    to: str
    attempt: int


@frozen(kw_only=True)
class ConsultAnswered(Event):
    """The two agents talk, and nobody hears them."""

    kind = "consult.answered"
    to: str
    attempt: int


@frozen(kw_only=True)
class ConsultEnded(Event):
    """The consultation is over: it was not answered, was broken off, or the two parted."""

    kind = "consult.ended"
    to: str
    attempt: int
    outcome: OfferOutcome


@frozen(kw_only=True)
class Transferred(Event):
    """The agent gave the contact away, to an agent, a queue or a flow, and is free."""

    kind = "talk.transferred"
    target: str
    to: str


@frozen(kw_only=True)
class Lent(Event):
    """The customer was sent to a flow and comes back to the agent, who hears music."""

    kind = "loan.started"
    flow: str


@frozen(kw_only=True)
class LoanEnded(Event):
    """The loan is over: ``done``, ``cancelled`` or ``failed``; what the flow found out, without anything keyed in."""

    kind = "loan.ended"
    flow: str
    how: str
    answers: Mapping[str, str] = field(factory=dict)


@frozen(kw_only=True)
class FaxStarted(Event):
    """The customer is asked to start the fax machine: ``send`` a document to it, or ``receive`` one from it."""

    kind = "fax.started"
    operation: str
    document: str = ""
    """What is sent; empty of one that is received."""
    pages: int = 0
    """How many it has; 0 of one that is received: nobody knows yet."""


@frozen(kw_only=True)
class FaxProgress(Event):
    """The machines are at this page, counted from 1."""

    kind = "fax.progress"
    page: int


@frozen(kw_only=True)
class FaxEnded(Event):
    """The fax is over; ``pages`` went over whole.  The customer comes back, unless the machine has hung up."""

    kind = "fax.ended"
    operation: str
    document: str = ""
    outcome: FaxOutcome
    pages: int
    error: str = ""
    station: str = ""
    """What the other machine calls itself."""
    rate: int = 0
    """Bits a second."""


@frozen(kw_only=True)
class FaxReceived(Event):
    """Pages came from the contact's machine and are stored: they can be fetched from now on."""

    kind = "fax.received"
    fax: str
    box: str
    pages: int
    station: str = ""


@frozen(kw_only=True)
class DataAttached(Event):
    """Data that travels with the contact changed; an empty value took one away."""

    kind = "data.attached"
    data: Mapping[str, str] = field(factory=dict)


@frozen(kw_only=True)
class TalkEnded(Event):
    """Caller and agent parted."""

    kind = "talk.ended"
    ended_by: EndedBy


@frozen(kw_only=True)
class ContactEnded(Event):
    """The caller's leg is gone and the contact closed: its last event."""

    kind = "contact.ended"
    outcome: Outcome
    ended_by: EndedBy


@frozen(kw_only=True)
class AgentChanged(Event):
    """An agent's state changed, or the contact or phone that goes with it."""

    kind = "agent.changed"
    state: AgentState
    reason: str = ""
    phone: str = ""
    queues: tuple[str, ...] = ()
    until: float = 0.0


@frozen(kw_only=True)
class PbxUp(Event):
    """The AMI link to an Asterisk is up and our picture of it was put right."""

    kind = "pbx.up"
    pbx: str


@frozen(kw_only=True)
class PbxDown(Event):
    """The AMI link to an Asterisk is lost."""

    kind = "pbx.down"
    pbx: str
    reason: str


@frozen(kw_only=True)
class Corrected(Event):
    """Reconciliation found a difference between Asterisk and us, and mended it: a health figure."""

    kind = "pbx.corrected"
    pbx: str
    leg: str
    what: str


KINDS: Mapping[str, type[Event]] = {cls.kind: cls for cls in Event.__subclasses__()}
"""Public name -> class, for reading the journal back."""
