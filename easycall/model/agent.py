"""The agent: a person who takes contacts, and what is known of one."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from attrs import field, frozen, mutable

from easycall.policy import ONE_AT_A_TIME, Capacity, Channel

__all__ = ["OWN_REASONS", "Agent", "AgentState", "AutoAnswer", "LastTalk", "Missed", "OfferOutcome", "PhoneState", "Profile"]

OWN_REASONS = frozenset({"missed", "unreachable", "disposition missing"})
"""Why the daemon makes agents not ready by itself: an offer was not answered, the phone cannot be reached, a required
disposition was not given in time."""


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
    desktop: bool = False
    """The agent works with a desktop, so that its loss counts."""
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
