"""The contact: one caller's whole visit, where it is and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from attrs import field, frozen, mutable

from easycall.policy import Channel
from easycall.skills import ANYBODY, Requirement

__all__ = ["Contact", "Direction", "EndedBy", "Lifetime", "Loan", "Outcome", "Stage"]


class Direction(StrEnum):
    """Who dialled whom."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


class Stage(StrEnum):
    """Where a live contact is."""

    IVR = "ivr"
    WAITING = "waiting"
    OFFERED = "offered"
    TALKING = "talking"
    HELD = "held"
    """The customer hears music, an agent keeps the contact."""
    CONSULTING = "consulting"
    """The customer hears music while the agent asks another."""
    LENT = "lent"
    """The customer is in a flow that an agent sent it to, and comes back."""
    DIALLING = "dialling"
    """A number outside is dialled: the customer's own, or that of whom the customer was given to."""
    OUTSIDE = "outside"
    """The customer talks with somebody outside, and no agent has the contact."""
    FAX = "fax"
    """The customer's fax machine sends or receives; then the customer comes back to the agent."""
    CONFERENCE = "conference"
    """Customer, agent and those who were consulted hear each other."""
    ASIDE = "aside"
    """The same without the agent, who asks one more meanwhile."""
    PARKED = "parked"
    """The customer hears music in no queue, until an agent picks the contact."""
    VOICEMAIL = "voicemail"
    """The customer leaves a message."""
    HANDLING = "handling"
    """An agent has a contact that is no call."""
    ENDED = "ended"


class EndedBy(StrEnum):
    """Who ended a contact."""

    CALLER = "caller"
    """The customer, whoever dialled whom."""
    AGENT = "agent"
    FLOW = "flow"
    API = "api"
    OUTSIDE = "outside"
    """Somebody outside with whom the customer talked."""
    NETWORK = "network"
    """The customer who was dialled could not be reached."""
    SYSTEM = "system"
    """Nobody: something failed, a part of the daemon, the way to the caller, or Asterisk."""


class Outcome(StrEnum):
    """What became of a contact, for the figures."""

    ANSWERED = "answered"
    ABANDONED = "abandoned"
    """The caller left while waiting in a queue or while an agent's phone rang."""
    ABANDONED_IN_IVR = "abandoned_in_ivr"
    SELF_SERVED = "self_served"
    """The flow came to its own end without a queue."""
    MESSAGE_LEFT = "message_left"
    """The caller talked with nobody and left a message."""
    FAILED = "failed"
    CLOSED = "closed"
    """The queue was closed: by its rule the contact heard a message, left one, or went to a flow."""
    FULL = "full"
    """The same, as too many waited already."""
    OVERFLOWED = "overflowed"
    """The same, by another rule of the queue: as the wait was or would be too long, or nobody was there to serve it."""
    BUSY = "busy"
    """This and those below: the customer was dialled and not reached (:class:`DialOutcome`)."""
    NO_ANSWER = "no_answer"
    DECLINED = "declined"
    UNALLOCATED = "unallocated"
    CONGESTION = "congestion"
    UNREACHABLE = "unreachable"
    CANCELLED = "cancelled"
    NOT_DIALLED = "not_dialled"
    """The rules of dialling did not let the customer be called."""
    NO_AGENT = "no_agent"
    """The agent whose phone was rung first did not take the call; the customer was not dialled."""
    MACHINE = "machine"
    """The customer was dialled, and nobody pressed the key that a person was asked to press."""
    CALLBACK = "callback"
    """The caller asked to be called back, and talked with nobody before."""


@frozen
class Lifetime:
    """How long a contact may last."""

    longest_seconds: float = 43_200.0
    """From its arrival."""
    notice_seconds: float = 60.0
    """How long before its end that is told."""


@frozen
class Loan:
    """How a loan of the customer to a flow ended."""

    flow: str
    how: str
    """``done``, ``cancelled``, ``failed``, ``timeout``; see :class:`easycall.events.LoanEnded`."""
    result: Mapping[str, str] = field(factory=dict)
    """What the function gave; empty when it gave nothing."""


@mutable
class Contact:
    """One caller's whole visit.  Its id is given at the first moment and never changes."""

    id: str
    pbx: str
    """The name of the Asterisk it came in on."""
    leg: str
    """The id of the customer's leg."""
    caller: str
    """The calling number (ANI), ``""`` when withheld; of an outbound call the one we show."""
    caller_name: str
    dialled: str
    """The dialled number (DNIS)."""
    arrived: float
    direction: Direction = Direction.INBOUND
    channel: Channel = Channel.CALL
    """What kind of work it is."""
    stage: Stage = Stage.IVR
    queue: str = ""
    priority: float = 0.0
    """Points of score beside those of the queue: seconds of waiting it is ahead, in whichever queue."""
    skills: Requirement = ANYBODY
    """What it asks for in :attr:`queue`, beside what the queue does; another queue is not asked for it."""
    agent: str = ""
    consulted: str = ""
    """The agent, or the number outside, who is asked by :attr:`agent`, in a conference the last one who was; empty when
    nobody is."""
    conference: tuple[str, ...] = ()
    """Who is in a conference with the customer, beside :attr:`agent`."""
    rung: tuple[str, ...] = ()
    """Agents who are rung for it at once, beside :attr:`agent`."""
    recording: str = ""
    """``on`` while it is recorded, ``paused`` while silence is; empty: it is not."""
    ended_by: EndedBy | None = None
    """Who ended it first; None while nobody has."""
    attempts: int = 0
    """How often an agent's phone was rung for it: numbers the legs."""
    faxes: int = 0
    """How many faxes came from the caller's machine, whole."""
    answers: dict[str, str] = field(factory=dict)
    """What the caller chose in the IVR: node -> name of the choice, never the keys pressed."""
    data: dict[str, str] = field(factory=dict)
    """Attached data: travels with the contact and is shown in the pop."""
    loan: Loan | None = None
    """The latest loan to a flow that is over."""
    session: str = ""
    """The id of the first contact of the same matter, of one that calls back; empty: its own."""
    callback: str = ""
    """The callback that it is an attempt of; empty: of none."""
    reason: str = ""
    """What the customer is called back about."""
    waited: float = 0.0
    """How long the customer waited before, in earlier contacts of the session, in seconds."""

    @property
    def customer(self) -> str:
        """The customer's number."""
        return self.dialled if self.direction is Direction.OUTBOUND else self.caller
