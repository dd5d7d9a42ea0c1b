"""The nouns: what a contact centre talks about.  Pure data, no behaviour.

Times are seconds since the epoch as the daemon's own clock tells them; durations are seconds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from attrs import Factory, field, frozen, mutable

from easycall.hours import Hours
from easycall.policy import ONE_AT_A_TIME, Capacity, Channel, QueuePolicy
from easycall.skills import ANYBODY, Requirement

__all__ = [
    "HUNG_UP_EARLY",
    "NUMBER",
    "OWN_REASONS",
    "PHONE",
    "SKILL",
    "Agent",
    "AgentState",
    "AutoAnswer",
    "Closing",
    "Contact",
    "DialOutcome",
    "Direction",
    "DispositionRule",
    "EndedBy",
    "FaxOutcome",
    "FaxResult",
    "LastTalk",
    "Lifetime",
    "Loan",
    "LostAgent",
    "Message",
    "Missed",
    "OfferOutcome",
    "Outcome",
    "OverflowRule",
    "OverflowTo",
    "OverflowWhen",
    "Party",
    "PhoneState",
    "Profile",
    "Queue",
    "QueueEdit",
    "RecordRule",
    "Request",
    "Role",
    "Speaks",
    "Stage",
    "StrategyOutcome",
    "SupervisionMode",
    "Trunk",
]


PHONE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,39}")
"""The name of an agent's phone, as the dial template takes it: nothing in it can change a dial string."""


SKILL = re.compile(r"[A-Za-z][A-Za-z0-9_:-]{0,63}")
"""The name of a skill."""


OWN_REASONS = frozenset({"missed", "unreachable", "disposition missing"})
"""Why the daemon makes agents not ready by itself: an offer was not answered, the phone cannot be reached, a required
disposition was not given in time."""


NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
"""A telephone number as it is dialled outside: E.164, nothing in it but "+" and digits."""


class Role(StrEnum):
    """What a leg is for."""

    CALLER = "caller"
    """The customer's, whoever dialled whom."""
    AGENT = "agent"
    OUTSIDE = "outside"
    """Of somebody outside whom an agent asks, or to whom the customer was given."""
    SUPERVISOR = "supervisor"
    """It listens to other legs and is in no bridge."""


class Direction(StrEnum):
    """Who dialled whom."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


class SupervisionMode(StrEnum):
    """What a supervisor does with a call."""

    LISTEN = "listen"
    WHISPER = "whisper"
    """The agent hears the supervisor, the customer does not."""
    BARGE = "barge"
    """All hear each other."""


class Speaks(StrEnum):
    """To whom a leg speaks that listens to another one."""

    NOBODY = "nobody"
    ONE = "one"
    """To the leg it listens to."""
    BOTH = "both"
    """To that leg and to the one in a bridge with it."""


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


class Party(StrEnum):
    """Who is meant of those who are in a talk."""

    CUSTOMER = "customer"
    AGENT = "agent"
    """The agent who has the contact."""
    CONSULTED = "consulted"
    """One who was asked."""


class AgentState(StrEnum):
    """What an agent is doing; the table of allowed changes is :mod:`easycall.acd.agent`."""

    OFFLINE = "offline"
    NOT_READY = "not_ready"
    READY = "ready"
    RESERVED = "reserved"
    RINGING = "ringing"
    TALKING = "talking"
    HELD = "held"
    WRAP_UP = "wrap_up"
    SUPERVISING = "supervising"
    """Held by a supervision: no call is offered."""


class PhoneState(StrEnum):
    """What an agent's phone does besides the calls we make to it."""

    UNKNOWN = "unknown"
    """Asterisk does not tell: it is taken for free."""
    IDLE = "idle"
    RINGING = "ringing"
    """Somebody else calls it."""
    IN_USE = "in_use"
    """It is in a call that is not ours."""
    UNREACHABLE = "unreachable"


class LostAgent(StrEnum):
    """What becomes of a customer whose agent's phone died in talk."""

    REQUEUE = "requeue"
    """The front place of the queue."""
    HANG_UP = "hang_up"


class AutoAnswer(StrEnum):
    """When an agent's phone is told to answer by itself, by a header of the call that not every phone obeys."""

    NEVER = "never"
    ASKED = "asked"
    """When the agent answers on the desktop: then the phone is rung once more."""
    ALWAYS = "always"


class OfferOutcome(StrEnum):
    """How one offer of a contact to one agent ended."""

    ANSWERED = "answered"
    NO_ANSWER = "no_answer"
    DECLINED = "declined"
    UNREACHABLE = "unreachable"
    BUSY = "busy"
    """The phone was in another call, which began in the moment of the offer."""
    CALLER_LEFT = "caller_left"
    CANCELLED = "cancelled"
    """Whoever asked for the agent took the question back."""
    LOST = "lost"
    """The agent's leg disappeared without a word: lost with the link, or between answer and bridge."""
    ELSEWHERE = "answered_elsewhere"
    """Several agents were rung at once, and another one was the first to answer."""


class DialOutcome(StrEnum):
    """What became of a number that was dialled."""

    ANSWERED = "answered"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    DECLINED = "declined"
    UNALLOCATED = "unallocated"
    """There is no such number."""
    CONGESTION = "congestion"
    """The network or the trunk could not carry the call."""
    UNREACHABLE = "unreachable"
    """The number is there and its telephone is not."""
    CANCELLED = "cancelled"
    """We took it back before it was answered."""
    LOST = "lost"
    """It disappeared without a word: lost with the link to Asterisk."""


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


@frozen
class Trunk:
    """A way out into the telephone network."""

    name: str
    asterisk: str
    """The name of the Asterisk it belongs to."""
    dial: str
    """The dial string, with ``{number}`` (``+4930…``) or ``{digits}`` (``4930…``)."""
    lines: int
    """How many calls it carries at once."""
    prefixes: tuple[str, ...] = ("+",)
    """What it is used for: the beginnings of numbers."""
    caller_ids: tuple[str, ...] = ()
    """The numbers it may show; the first unless something else is asked for."""

    def dial_string(self, number: str) -> str:
        """What Asterisk is told to dial.  Raises ValueError for what is no number that may be dialled."""
        if not NUMBER.fullmatch(number):
            raise ValueError(f"number {number!r} must not be dialled")
        return self.dial.format(number=number, digits=number.removeprefix("+"))


class FaxOutcome(StrEnum):
    """How a fax ended."""

    DONE = "done"
    """All pages went over."""
    FAILED = "failed"
    """They did not; the error says why.  Some of the pages may have."""
    CANCELLED = "cancelled"
    """It was broken off from here."""


HUNG_UP_EARLY = "the other side hung up too early"
"""An error of a fax."""


@frozen
class FaxResult:
    """What the switch says of a fax that is over."""

    outcome: FaxOutcome
    pages: int = 0
    """How many the other machine has confirmed, or we have."""
    error: str = ""
    station: str = ""
    """What the other machine calls itself."""
    rate: int = 0
    """Bits a second."""


class RecordRule(StrEnum):
    """Which talks of a queue are recorded."""

    NEVER = "never"
    ON_DEMAND = "on_demand"
    """Those an agent asks for."""
    ALWAYS = "always"
    """All, but those that an agent stops."""


class DispositionRule(StrEnum):
    """Whether an agent says at the end what came of a contact."""

    OFF = "off"
    OPTIONAL = "optional"
    REQUIRED = "required"
    """The agent takes no other contact before."""


class Closing(StrEnum):
    """What becomes of those who wait when their queue closes."""

    SERVE = "serve"
    """They are still served."""
    OVERFLOW = "overflow"
    """They go where those go who come later."""


class StrategyOutcome(StrEnum):
    """What came of asking a strategy for an agent; but for the first two the queue's own choice holds."""

    AGREED = "agreed"
    """It left the choice to the queue, or named the same agent."""
    FOLLOWED = "followed"
    """It named another agent, who got the contact."""
    NOT_FREE = "not_free"
    """It named another agent, who was not free any more."""
    WRONG = "wrong"
    """It answered something that is no agent of the case."""
    TIMED_OUT = "timed_out"
    FAILED = "failed"
    RESTING = "resting"
    """It was not asked, because it failed again and again."""


class OverflowWhen(StrEnum):
    """When a rule of a queue takes a contact out of the line, or does not let it in."""

    CLOSED = "closed"
    FULL = "full"
    """So many wait already as may."""
    NOBODY_LOGGED_IN = "nobody_logged_in"
    """No agent who serves the queue is logged in."""
    NOBODY_ELIGIBLE = "nobody_eligible"
    """None is ready or will be when the present contact is done, with a phone and a desktop that are there."""
    WAITED = "waited"
    """It has waited so long, in all queues it overflowed from together."""
    EXPECTED_WAIT = "expected_wait"
    """It would have to wait so long from now, as far as that can be told."""


class OverflowTo(StrEnum):
    """Where a rule of a queue sends a contact."""

    QUEUE = "queue"
    VOICEMAIL = "voicemail"
    FLOW = "flow"
    HANG_UP = "hang_up"


@frozen
class OverflowRule:
    """One rule of a queue; of all that apply the first counts."""

    when: OverflowWhen
    to: OverflowTo
    target: str = ""
    """The queue, box or flow; empty: hang up."""
    seconds: float = 0.0
    """How long, of the rules about waiting."""
    say: str = ""
    """A text, or ``sound:NAME``, that is heard before the call is hung up."""

    @property
    def place(self) -> str:
        """Where it sends a contact, as it is written: ``queue:backup``."""
        return f"{self.to}:{self.target}" if self.target else self.to.value


@frozen
class Queue:
    """A line of waiting contacts, with its rules."""

    id: str
    name: str
    ring_seconds: float = 20.0
    """How long an agent's phone rings before the next agent is tried."""
    wrap_up_seconds: float = 10.0
    wrap_up_extend_seconds: float = 300.0
    """By how much an agent may extend a wrap-up, in all."""
    disposition: DispositionRule = field(default=DispositionRule.OFF, converter=DispositionRule)
    dispositions: tuple[str, ...] = ()
    """What may come of a contact."""
    disposition_seconds: float = 60.0
    """How long after the wrap-up a required disposition is waited for before the agent is made not ready."""
    music: str = "default"
    """Asterisk's music-on-hold class heard while waiting."""
    busy_prompt: str = ""
    """What a caller hears once when nobody is free; empty: music at once."""
    busy_repeat_seconds: float = 30.0
    """How often the busy prompt is repeated; 0: never."""
    record: RecordRule = RecordRule.NEVER
    """Whether its talks are recorded."""
    caller_id: str = ""
    """The number shown to whom its agents dial; empty: the trunk's."""
    announce_position: bool = False
    """Whether a waiting caller is told the place in line."""
    announce_wait: bool = False
    """Whether a waiting caller is told the expected wait, as a rounded range, when it is known."""
    announce_seconds: float = 60.0
    """How often."""
    lost_agent: LostAgent = field(default=LostAgent.REQUEUE, converter=LostAgent)
    """What becomes of a customer whose agent's phone died in talk."""
    hours: Hours | None = None
    """When it is open; None: always."""
    closing: Closing = field(default=Closing.SERVE, converter=Closing)
    """What becomes of those who wait when it closes."""
    max_waiting: int = 0
    """How many may wait; 0: as many as come."""
    max_wait_seconds: float = 14400.0
    """How long one may wait before the call is hung up."""
    max_wait_prompt: str = ""
    """What is heard then."""
    owner_seconds: float = 20.0
    """How long a contact waits for the agent alone whom a flow or attached data names as its owner."""
    last_agent_seconds: float = 0.0
    """How long one waits for the agent alone who talked last with the number; 0: anybody takes it at once."""
    last_agent_days: float = 7.0
    """How long after that talk."""
    last_agent_any_queue: bool = False
    """Whether the talk may have been of another queue."""
    redial_seconds: float = 0.0
    """How long after an abandoned call the same number has its place back; 0: never."""
    overflow: tuple[OverflowRule, ...] = ()
    strategy: str = ""
    """The strategy that is asked which of the idle agents gets a contact; empty: none, the queue chooses by itself."""
    service_level: Mapping[Channel, float] = field(factory=dict, hash=False)
    """Kind of work -> within how many seconds it is to be answered, where that is not as usual."""
    routing: QueuePolicy = field(default=Factory(lambda queue: QueuePolicy(queue.id), takes_self=True))
    """Which agents may have its contacts, who of them is chosen, and which contact goes first."""

    @property
    def rules(self) -> tuple[OverflowRule, ...]:
        """The overflow rules, with the longest wait as the last one."""
        longest = self.max_wait_seconds
        return (*self.overflow, OverflowRule(OverflowWhen.WAITED, OverflowTo.HANG_UP, "", longest, self.max_wait_prompt))

    @property
    def announces(self) -> bool:
        """Whether a waiting caller is told anything of the wait."""
        return self.announce_position or self.announce_wait


@frozen
class QueueEdit:
    """What was changed of a queue while the daemon ran, and is kept."""

    queue: str
    changed: Mapping[str, Any]
    """Option -> value, as in the configuration."""
    at: float = 0.0
    by: str = ""
    """The name of the API token."""


@frozen
class Missed:
    """An offer an agent did not answer."""

    contact: str
    at: float


@mutable
class Agent:
    """A person who takes contacts."""

    id: str
    name: str
    queues: tuple[str, ...]
    """The queues served now."""
    own_queues: tuple[str, ...] = ()
    """The queues served when the agent logs in without naming any: configured, or changed since and kept."""
    own_phone: str = ""
    """The phone taken when the agent logs in without naming one; empty: none."""
    auto_answer: AutoAnswer = AutoAnswer.NEVER
    """When the agent's phone is told to answer by itself."""
    state: AgentState = AgentState.OFFLINE
    reason: str = ""
    """Why not ready: what the agent says, or ``missed``, ``unreachable`` or ``disposition missing`` set by the daemon."""
    phone: str = ""
    """The endpoint rung for this agent; empty when logged out."""
    since: float = 0.0
    """When the present state began."""
    idle_since: float = 0.0
    """The end of the last contact, or the log-in: what "longest idle" compares."""
    contact: str = ""
    """The contact reserved for, ringing, spoken with or wrapped up; empty otherwise."""
    until: float = 0.0
    """When the present state ends by itself (wrap-up); 0: it does not."""
    phones: Mapping[str, PhoneState] = field(factory=dict)
    """Asterisk -> what the agent's phone does there, as far as that is known."""
    phone_lost: bool = False
    """Not ready because the phone could not be reached: ready again when it can, unless the agent chooses otherwise."""
    wants: tuple[AgentState, str] | None = None
    """The state and reason asked for while busy, taken up when the contact is done."""
    supervises: tuple[str, ...] = ()
    """The queues whose contacts and agents this person may supervise; ``*``: all."""
    skills: Mapping[str, int] = field(factory=dict)
    """What the agent can do -> how well, from 1."""
    queue: str = ""
    """The queue of the contact the agent has talked with; empty before the talk."""
    disposition: str = ""
    """What the agent has said came of :attr:`contact`; empty: nothing yet."""
    missed: Missed | None = None
    """The latest offer not answered, until the agent is ready again."""
    desktop_lost: bool = False
    """The agent's desktop is gone: nothing is offered until it is back."""
    capacity: Capacity = ONE_AT_A_TIME
    """What the agent takes, how much of it at once, and what beside what."""
    auto_accept: frozenset[Channel] = frozenset()
    """What is no call and is the agent's as soon as it is offered."""
    work: Mapping[str, Channel] = field(factory=dict)
    """The contacts without a call that the agent is offered or has -> what each is; beside :attr:`contact`, or alone."""


@frozen
class Profile:
    """What was changed of an agent while the daemon ran, and is kept."""

    agent: str
    queues: tuple[str, ...] | None = None
    """None: those of the configuration."""
    skills: Mapping[str, int] | None = None
    """None: those of the configuration."""
    changed: float = 0.0
    changed_by: str = ""
    """The name of the API token."""


@frozen
class LastTalk:
    """An agent talked with a customer."""

    at: float
    agent: str
    queue: str


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

    @property
    def customer(self) -> str:
        """The customer's number."""
        return self.dialled if self.direction is Direction.OUTBOUND else self.caller


@frozen
class Request:
    """Something for an agent that did not begin with a call, as it is kept until it is done."""

    id: str
    """That of its contact."""
    channel: Channel
    queue: str
    """Where it waits, or came from."""
    since: float
    """Since when it counts as waiting."""
    created: float
    number: str = ""
    """The customer's, in full form."""
    address: str = ""
    """Where else the customer is to be found: of mail, or of a chat."""
    name: str = ""
    skills: str = ""
    """What it asks for beside what its queue does."""
    priority_seconds: float = 0.0
    """Points of score beside those of its queue."""
    data: Mapping[str, str] = field(factory=dict)
    about: str = ""
    """The id of the voice mail or fax it is about."""
    created_by: str = ""
    """The name of the API token; empty: the daemon itself."""


@frozen
class Message:
    """What a caller left in a voice mail box."""

    id: str
    box: str
    contact: str
    caller: str
    caller_name: str
    at: float
    seconds: float = 0.0
