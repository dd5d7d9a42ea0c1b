"""The facts: what happened, as immutable values.

The journal numbers and keeps them; records, figures and the live feed are folds over them.  Every event carries ``at``, the
moment it happened, in seconds since the epoch.  ``kind`` is its public name in the journal, the API and the live feed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from attrs import field, frozen

from easycall.model import AgentState, EndedBy, OfferOutcome, Outcome

__all__ = [
    "KINDS",
    "AgentChanged",
    "Answered",
    "ContactArrived",
    "ContactEnded",
    "Corrected",
    "Event",
    "FlowStep",
    "MenuAnswered",
    "OfferEnded",
    "Offered",
    "PbxDown",
    "PbxUp",
    "Queued",
    "ScreenPop",
    "ScreenPopRevoked",
    "TalkEnded",
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
