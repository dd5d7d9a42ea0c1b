"""The facts: what happened, as immutable values.

The journal numbers and keeps them; records, figures and the live feed are folds over them.  Every event carries ``at``, the
moment it happened, in seconds since the epoch.  ``kind`` is its public name in the journal, the API and the live feed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from attrs import field, frozen

from easycall.model import (
    AgentState,
    DialOutcome,
    Direction,
    EndedBy,
    FaxOutcome,
    Missed,
    OfferOutcome,
    Outcome,
    OverflowWhen,
    Party,
    StrategyOutcome,
    SupervisionMode,
)
from easycall.policy import Channel

__all__ = [
    "KINDS",
    "OF_SUPERVISION",
    "AgentAssigned",
    "AgentChanged",
    "Answered",
    "AskIgnored",
    "CallAnswered",
    "CallCut",
    "CallDialled",
    "CallEnding",
    "CallFailed",
    "CallRinging",
    "Collected",
    "ConferenceEnded",
    "ConferenceJoined",
    "ConferenceLeft",
    "ConferenceStarted",
    "ConsultAnswered",
    "ConsultEnded",
    "ConsultStarted",
    "ContactArrived",
    "ContactEnded",
    "Corrected",
    "DataAttached",
    "DigitsSent",
    "DispositionSet",
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
    "NumberListed",
    "NumberUnlisted",
    "OfferEnded",
    "Offered",
    "OutsideEnded",
    "OutsideStarted",
    "ParkEnded",
    "Parked",
    "PartyMuted",
    "PbxDown",
    "PbxUp",
    "PhoneLost",
    "Picked",
    "QueueAmended",
    "QueueEdited",
    "QueueLeft",
    "QueueOverflowed",
    "QueueResumed",
    "Queued",
    "RecordingFailed",
    "RecordingHeard",
    "RecordingPaused",
    "RecordingResumed",
    "RecordingStarted",
    "RecordingStopped",
    "Retrieved",
    "ScreenPop",
    "ScreenPopRevoked",
    "ServiceAsked",
    "StrategyAsked",
    "SupervisionChanged",
    "SupervisionEnded",
    "SupervisionMoved",
    "SupervisionStarted",
    "TalkEnded",
    "Transferred",
    "VoicemailLeft",
    "VoicemailStarted",
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
    """A caller reached us, or a customer is to be called: the session id exists from here."""

    kind = "contact.arrived"
    pbx: str
    leg: str
    caller: str
    caller_name: str
    dialled: str
    direction: Direction = Direction.INBOUND
    channel: Channel = Channel.CALL


@frozen(kw_only=True)
class CallDialled(Event):
    """A number outside is about to be dialled: told before it is."""

    kind = "call.dialled"
    leg: str
    number: str
    trunk: str
    caller_id: str
    purpose: str
    """``customer``, or why somebody else is called: ``consult``, ``transfer``."""
    queue: str = ""
    """Whose rules hold."""


@frozen(kw_only=True)
class CallRinging(Event):
    """The telephone outside rings, or the network tells that it works on it."""

    kind = "call.ringing"
    leg: str
    number: str


@frozen(kw_only=True)
class CallAnswered(Event):
    """The one who was dialled answered."""

    kind = "call.answered"
    leg: str
    number: str


@frozen(kw_only=True)
class CallEnding(Event):
    """The contact has lasted nearly as long as it may, and is ended in so many seconds."""

    kind = "call.ending"
    seconds: float


@frozen(kw_only=True)
class CallCut(Event):
    """A call lasted as long as it may, and is hung up now."""

    kind = "call.cut"
    leg: str
    number: str
    seconds: float


@frozen(kw_only=True)
class CallFailed(Event):
    """The one who was dialled will not answer, and why."""

    kind = "call.failed"
    leg: str
    number: str
    outcome: DialOutcome
    cause: int
    """The cause the network gave (ITU-T Q.850); 0: none."""


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
class Collected(Event):
    """The caller keyed a value that was asked for.  Of a secret only that it was keyed: ``value`` is empty then."""

    kind = "ivr.collected"
    node: str
    name: str
    value: str = ""


@frozen(kw_only=True)
class ServiceAsked(Event):
    """A flow handed values to a service outside: ``answered``, ``misfit`` (not as declared), ``failed`` or ``cancelled``.

    After the last three the service may have done what it was asked.
    """

    kind = "ivr.service"
    node: str
    service: str
    outcome: str


@frozen(kw_only=True)
class Queued(Event):
    """The contact began to wait."""

    kind = "queue.entered"
    queue: str
    position: int
    since: float = 0.0
    """When it counts as having joined: earlier than now for one who comes back to an old place or to the front."""
    channel: Channel = Channel.CALL
    skills: str = ""
    """What it asks for beside what its queue does, as it is written in a configuration."""
    offset: float = 0.0
    """Points of score beside those of its queue."""
    owner: str = ""
    """The agent to whom alone it belongs until :attr:`owner_until`."""
    owner_until: float = 0.0


@frozen(kw_only=True)
class AskIgnored(Event):
    """What a flow asked for in the caller's name could not be read: the caller waits without it."""

    kind = "queue.ignored"
    queue: str
    what: str
    """``skills``, ``priority`` or ``owner``."""
    why: str


@frozen(kw_only=True)
class QueueAmended(Event):
    """A contact that waits has another priority, or asks for other skills, from now on."""

    kind = "queue.amended"
    queue: str
    priority: float
    """Points of score beside those of its queue, after it."""
    skills: str
    """What it asks for beside what its queue does, after it."""
    by: str
    """The name of the API token."""


@frozen(kw_only=True)
class QueueResumed(Event):
    """The caller abandoned a call a short while ago, and has the place in line of then."""

    kind = "queue.resumed"
    queue: str
    of: str
    """The contact that was abandoned."""
    since: float
    """When that one joined."""


@frozen(kw_only=True)
class QueueLeft(Event):
    """The caller pressed a key and goes on in the flow.  The place is kept, and the contact is offered to nobody, until the
    flow leads back to the queue."""

    kind = "queue.left"
    queue: str
    waited: float
    """Seconds since it joined."""


@frozen(kw_only=True)
class QueueOverflowed(Event):
    """A rule of the queue kept the contact out of it, or took it out of the line."""

    kind = "queue.overflowed"
    queue: str
    to: str
    """Where it goes: ``queue:ID``, ``voicemail:BOX``, ``flow:NAME`` or ``hang_up``."""
    rule: OverflowWhen
    waited: float
    """Seconds since it began to wait, in this queue or in one it overflowed from; 0 of one that was not let in."""


@frozen(kw_only=True)
class StrategyAsked(Event):
    """The queue's strategy was asked who gets the contact; ``agent`` gets it."""

    kind = "strategy.asked"
    queue: str
    strategy: str
    outcome: StrategyOutcome
    first: str
    """Whom the queue itself had chosen."""
    seconds: float
    """How long it took."""
    error: str = ""
    """Of one that failed: how."""


@frozen(kw_only=True)
class QueueEdited(Event):
    """A queue's routing was changed, for contacts that wait already too."""

    kind = "queue.edited"
    queue: str
    changed: Mapping[str, Any]
    """What differs from the configuration from now on: option -> value, as in the file; empty: nothing."""
    by: str = ""
    """The name of the API token."""


@frozen(kw_only=True)
class Offered(Event):
    """An agent was reserved for the contact and the phone is being rung."""

    kind = "offer.made"
    queue: str
    attempt: int
    at_once: int = 1
    """How many agents are rung at once, of whom the first to answer has the contact."""


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
    direction: Direction = Direction.INBOUND
    channel: Channel = Channel.CALL
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
    by: str = ""
    """The agent who answered, of several who were rung at once."""


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
    """The agent asks another one, whose phone is rung; the customer hears music, or is in a conference that goes on."""

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
class ConferenceStarted(Event):
    """Customer, agent and the one who was consulted (``to``) hear each other."""

    kind = "conference.started"
    to: str


@frozen(kw_only=True)
class PartyMuted(Event):
    """One of a conference is not heard by the others, or, with ``muted`` false, is heard again."""

    kind = "conference.muted"
    party: Party
    muted: bool
    who: str = ""
    """The agent, or the number outside; empty: the customer, or the agent who has the contact."""


@frozen(kw_only=True)
class ConferenceJoined(Event):
    """One more was consulted and is in the conference now."""

    kind = "conference.joined"
    to: str


@frozen(kw_only=True)
class ConferenceLeft(Event):
    """One of a conference left it, and it goes on with the others."""

    kind = "conference.left"
    party: Party
    who: str


@frozen(kw_only=True)
class ConferenceEnded(Event):
    """One of a conference left it: the other two go on."""

    kind = "conference.ended"
    left: Party
    held: bool = False
    """The agent is just asking another one, and the customer hears music."""


@frozen(kw_only=True)
class DigitsSent(Event):
    """Keys were sent to the customer's line: how many, never which."""

    kind = "digits.sent"
    number: int


@frozen(kw_only=True)
class Parked(Event):
    """The agent parked the contact: any agent may pick it."""

    kind = "park.started"
    until: float
    """When the customer goes back to the agent or the queue, if nobody picks it."""


@frozen(kw_only=True)
class ParkEnded(Event):
    """Nobody picked the contact in time: it goes back to the agent who parked it, or without one to its queue."""

    kind = "park.ended"


@frozen(kw_only=True)
class Picked(Event):
    """An agent takes this contact, which is parked or waits in a queue, and is rung for it."""

    kind = "contact.picked"


@frozen(kw_only=True)
class VoicemailStarted(Event):
    """The customer hears the greeting of a voice mail box."""

    kind = "voicemail.started"
    box: str


@frozen(kw_only=True)
class VoicemailLeft(Event):
    """The customer left a message."""

    kind = "voicemail.left"
    box: str
    message: str
    """Its id, for listening to it."""
    seconds: float


@frozen(kw_only=True)
class Transferred(Event):
    """The agent gave the contact away, to an agent, a queue, a flow, a voice mail box, a number outside or to be parked."""

    kind = "talk.transferred"
    target: str
    to: str


@frozen(kw_only=True)
class OutsideStarted(Event):
    """The customer talks with somebody outside, and no agent has the contact."""

    kind = "outside.started"
    number: str


@frozen(kw_only=True)
class OutsideEnded(Event):
    """They parted."""

    kind = "outside.ended"
    number: str
    ended_by: EndedBy


@frozen(kw_only=True)
class Lent(Event):
    """The customer was sent to a flow and comes back to the agent, who hears music."""

    kind = "loan.started"
    flow: str


@frozen(kw_only=True)
class LoanEnded(Event):
    """The loan is over: ``done``, or without a result: ``cancelled``, ``failed``, ``timeout`` or ``left``.

    ``left``: the customer hung up.  What the flow found out is without anything secret.
    """

    kind = "loan.ended"
    flow: str
    how: str
    answers: Mapping[str, str] = field(factory=dict)
    result: Mapping[str, str] = field(factory=dict)
    """What the function gave; empty when it is none, or gave nothing."""
    back: bool = True
    """The customer is with the agent again."""


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
class SupervisionStarted(Event):
    """A supervisor's phone is rung to listen to ``contact``, or to each contact of ``agent`` in turn.

    Of all supervision events, ``agent`` is who is supervised.
    """

    kind = "supervision.started"
    supervision: str
    supervisor: str
    mode: SupervisionMode
    follows: str
    """``contact`` or ``agent``."""
    by: str
    """The name of the token that asked for it."""


@frozen(kw_only=True)
class SupervisionMoved(Event):
    """From now the supervisor hears the contact, or hears it no more."""

    kind = "supervision.moved"
    supervision: str
    supervisor: str
    mode: SupervisionMode
    hears: bool


@frozen(kw_only=True)
class SupervisionChanged(Event):
    """The supervisor listens, whispers or barges in from now."""

    kind = "supervision.mode"
    supervision: str
    supervisor: str
    mode: SupervisionMode
    by: str


@frozen(kw_only=True)
class SupervisionEnded(Event):
    """The supervision is over."""

    kind = "supervision.ended"
    supervision: str
    supervisor: str
    how: str
    """``api``, ``supervisor`` (hung up), ``contact`` (ended), ``agent`` (logged out), ``taken_over``, how the ringing ended
    (:class:`OfferOutcome`), or ``failed``."""
    by: str = ""
    """The name of the token that asked for the end; empty: nobody did."""


@frozen(kw_only=True)
class RecordingStarted(Event):
    """The customer's leg is recorded from now on, through every transfer."""

    kind = "recording.started"
    recording: str
    file: str
    """Its path in the folder of recordings."""
    why: str
    """``queue``: its rule wants it; ``agent``: the agent does."""


@frozen(kw_only=True)
class RecordingPaused(Event):
    """Silence is recorded from now on, and why; there may be several reasons at once."""

    kind = "recording.paused"
    recording: str
    why: str


@frozen(kw_only=True)
class RecordingResumed(Event):
    """One reason for a pause is over; while another holds, it is still silence that is recorded."""

    kind = "recording.resumed"
    recording: str
    why: str


@frozen(kw_only=True)
class RecordingStopped(Event):
    """The recording is over: by an ``agent``, a ``queue`` that is not recorded, a ``flow``, or the contact has ``ended``."""

    kind = "recording.stopped"
    recording: str
    why: str


@frozen(kw_only=True)
class RecordingFailed(Event):
    """Asterisk does not record what it should; the call goes on.  ``recording`` is empty when it could not begin."""

    kind = "recording.failed"
    recording: str
    why: str


@frozen(kw_only=True)
class RecordingHeard(Event):
    """Somebody fetched the sound of a recording."""

    kind = "recording.heard"
    recording: str
    by: str
    """The name of the API token."""


@frozen(kw_only=True)
class PhoneLost(Event):
    """The agent's phone died while the agent had the customer: nobody hung up.  The end of the talk follows."""

    kind = "talk.phone_lost"
    cause: str
    """What Asterisk gave as the cause: a number of Q.850, 44 when no sound came any more."""


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
    end_estimated: bool = False
    """The leg was found gone: it went some time before ``at``, while the link to its Asterisk was away."""


@frozen(kw_only=True)
class AgentChanged(Event):
    """An agent's state changed, or the contact or phone that goes with it."""

    kind = "agent.changed"
    state: AgentState
    reason: str = ""
    phone: str = ""
    queues: tuple[str, ...] = ()
    until: float = 0.0
    hindrance: str = ""
    """Why nothing is offered to the agent, ready or not: ``on a private call``, ``desktop lost``, ``phone unreachable``."""
    next: AgentState | None = None
    """What was asked for meanwhile, taken up when the contact is done."""
    disposition: str = ""
    """What the agent has said came of the contact."""
    missed: Missed | None = None
    """The offer that was not answered, until the agent is ready again."""
    work: Mapping[str, Channel] = field(factory=dict)
    """The contacts without a call that the agent is offered or has -> what each is."""
    by: str = ""
    """The name of the API token that asked for the change; empty: nobody did."""


@frozen(kw_only=True)
class AgentAssigned(Event):
    """An agent's queues or skills were changed."""

    kind = "agent.assigned"
    queues: tuple[str, ...]
    """Those of every log-in."""
    serves: tuple[str, ...]
    """Those served now."""
    skills: Mapping[str, int] = field(factory=dict)
    by: str = ""
    """The name of the API token."""


@frozen(kw_only=True)
class DispositionSet(Event):
    """An agent said what came of the contact; the latest counts."""

    kind = "contact.disposition"
    queue: str
    disposition: str
    by: str = ""
    """The name of the API token."""


@frozen(kw_only=True)
class NumberListed(Event):
    """A number was put on the do-not-call list, or was on it and has another reason now."""

    kind = "donotcall.added"
    number: str
    reason: str
    by: str
    """The name of the API token."""


@frozen(kw_only=True)
class NumberUnlisted(Event):
    """A number was taken from the do-not-call list: it may be called again."""

    kind = "donotcall.removed"
    number: str
    by: str


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

OF_SUPERVISION = (SupervisionStarted, SupervisionMoved, SupervisionChanged, SupervisionEnded)
"""What the agent who is supervised may not be told (setting ``supervision.tell_agents``)."""
