"""A callback: somebody is to be called back, how, and what became of each attempt."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from attrs import field, frozen

from easycall.hours import Hours
from easycall.model.contact import Outcome
from easycall.model.outbound import First

__all__ = [
    "BY_THEMSELVES",
    "DELAYS",
    "OPEN",
    "Attempt",
    "Callback",
    "CallbackRules",
    "CallbackSource",
    "CallbackState",
    "OwnerAway",
]


class CallbackSource(StrEnum):
    """Why somebody is called back."""

    ASKED = "asked"
    """The caller asked for it in a flow, mostly from the line, and keeps the place."""
    ABANDONED = "abandoned"
    """The caller broke off while waiting."""
    CLOSED = "closed"
    """The queue was closed."""
    FULL = "full"
    """Too many waited, or another rule of the queue sent the caller away."""
    UNANSWERED = "unanswered"
    """An agent called the customer, who was busy or did not answer."""
    REQUESTED = "requested"
    """Somebody asked for it over the API."""
    APPOINTMENT = "appointment"
    """An agent has promised it."""
    OUTAGE = "outage"
    """The caller waited, and the call was lost with an Asterisk."""


class CallbackState(StrEnum):
    """Where a callback is in its life."""

    SCHEDULED = "scheduled"
    """It is not due, or must not be made now."""
    IN_LINE = "in_line"
    """Its contact waits in the queue, is dialled, or has the customer on the line who waits for an agent."""
    REACHED = "reached"
    """This and those below are final: customer and agent have talked."""
    CALLED_IN = "called_in"
    """The customer called in meanwhile, and took the place."""
    MET = "met"
    """An agent of the queue has talked with the customer otherwise."""
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    EXHAUSTED = "exhausted"
    """There were as many attempts as there may be."""
    REFUSED = "refused"
    """The number must not be called."""


OPEN = frozenset({CallbackState.SCHEDULED, CallbackState.IN_LINE})
"""The states in which something is still to be done."""


class OwnerAway(StrEnum):
    """What becomes of a callback that is due and whose agent is not there."""

    ANYONE = "anyone"
    """Whoever is free in the queue makes it."""
    POSTPONE = "postpone"
    """It waits for the agent until it is late."""


@frozen
class Attempt:
    """The customer was dialled once."""

    contact: str
    at: float
    """When."""
    outcome: Outcome | None = None
    """None: it is not known yet."""
    cause: int = 0
    """The network's (ITU-T Q.850); 0: none was told."""
    agent: str = ""
    """Who was, or would have been, with the customer."""
    ended: float = 0.0


@frozen
class Callback:
    """One person who is to be called back for one queue: of a queue and a number there is one open callback at most.

    Times are seconds since the epoch.
    """

    id: str
    queue: str
    number: str
    """In full form (E.164)."""
    source: CallbackSource
    created: float
    due: float
    """Not before."""
    expires: float
    """Not after."""
    state: CallbackState = CallbackState.SCHEDULED
    since: float = 0.0
    """Since when it counts as waiting when it is in line: the place that the caller had; 0: since it was due."""
    contact: str = ""
    """That of the attempt which is in line."""
    session: str = ""
    """The id of the first contact of this matter."""
    agent: str = ""
    """Whose it is; empty: anybody's."""
    name: str = ""
    """The customer's."""
    zone: str = ""
    """The time zone the customer lives in; empty: as the number tells."""
    skills: str = ""
    """What it asks for beside what its queue does."""
    priority_seconds: float = 0.0
    """Points of score beside those of its queue."""
    reason: str = ""
    """What it is about, in words, for the agent."""
    waited: float = 0.0
    """How long the customer waited before, in seconds."""
    answers: Mapping[str, str] = field(factory=dict)
    """What the customer chose in the IVR."""
    data: Mapping[str, str] = field(factory=dict)
    """Attached data."""
    created_by: str = ""
    """The name of the API token, or the agent; empty: the daemon itself."""
    attempts: tuple[Attempt, ...] = ()
    """The earliest first."""
    escalated: float = 0.0
    """When supervisors were told that it is late; 0: they were not."""
    ended: float = 0.0
    """When it came to its final state; 0: it is open."""
    why: str = ""
    """In words why it was postponed last, or ended."""

    @property
    def open(self) -> bool:
        """Whether something is still to be done."""
        return self.state in OPEN

    @property
    def is_dialled(self) -> bool:
        """Whether the customer was dialled for the contact that is in line."""
        return bool(self.contact) and self.last is not None and self.last.contact == self.contact

    @property
    def last(self) -> Attempt | None:
        """The latest attempt."""
        return self.attempts[-1] if self.attempts else None


DELAYS: Mapping[Outcome, float] = {
    Outcome.BUSY: 300.0,
    Outcome.NO_ANSWER: 3600.0,
    Outcome.DECLINED: 14_400.0,
    Outcome.MACHINE: 7200.0,
    Outcome.CONGESTION: 600.0,
    Outcome.UNREACHABLE: 3600.0,
    Outcome.ABANDONED: 300.0,
    Outcome.FAILED: 300.0,
}
"""How long after each outcome the customer is called again, in seconds, where nothing else is configured."""

BY_THEMSELVES = (
    CallbackSource.ABANDONED,
    CallbackSource.CLOSED,
    CallbackSource.FULL,
    CallbackSource.UNANSWERED,
    CallbackSource.OUTAGE,
)
"""Sources whose callbacks nobody asks for."""


@frozen
class CallbackRules:
    """How a queue calls back."""

    of: frozenset[CallbackSource] = frozenset()
    """The sources among :data:`BY_THEMSELVES` that become callbacks."""
    first: First = First.CUSTOMER
    dial_ahead: bool = True
    """Whether a customer may be dialled before an agent is free, when the forecast says that one will be."""
    hours: Hours | None = None
    """When customers may be called, by the clock on **their** wall; None: at any time."""
    after_seconds: float = 60.0
    """How long after the call that was lost the first attempt is due; who asked does not wait for that."""
    min_wait_seconds: float = 10.0
    """Who broke off sooner is not called back."""
    delays: Mapping[Outcome, float] = field(factory=dict, hash=False)
    """Outcome -> how long after it the customer is called again, in seconds, where it is not as :data:`DELAYS`."""
    most: Mapping[Outcome, int] = field(factory=dict, hash=False)
    """Outcome -> after how many of them there is no further attempt; what is not named counts for :attr:`attempts` only."""
    attempts: int = 4
    """How often the customer is dialled at most."""
    attempts_per_day: int = 3
    """The same within one day of the customer's."""
    expires_seconds: float = 172_800.0
    """How long after it was made, or after the time that was asked for, it is given up."""
    asked_per_day: int = 3
    """How many callbacks one number may have in 24 hours."""
    other_numbers: bool = False
    """Whether a caller may ask to be called at another number than the one that calls."""
    ring_seconds: float = 25.0
    """How long the customer's telephone rings."""
    greeting: str = ""
    """What the customer hears first, a text or ``sound:NAME``; empty: music at once."""
    accept: str = ""
    """What asks the customer to press 1 to go on, which a machine does not; empty: nobody is asked."""
    accept_seconds: float = 15.0
    """How long that is waited for."""
    detect_machine: bool = False
    """Whether Asterisk listens first whether it is a machine; the agent is told, and nothing else depends on it."""
    owner_seconds: float = 120.0
    """How long one in line waits for the agent alone whose it is."""
    owner_away: OwnerAway = OwnerAway.ANYONE
    late_seconds: float = 3600.0
    """So long after it was due and could be made it belongs to nobody any more, and supervisors are told; 0: never."""

    def delay(self, outcome: Outcome) -> float | None:
        """How long after an outcome the customer is called again, in seconds; None: not again."""
        return self.delays.get(outcome, DELAYS.get(outcome))
