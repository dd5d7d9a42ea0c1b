"""The facts of a customer who has an agent, until they part, and of where the agent sends the customer."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from easycall.events.base import Event
from easycall.model import EndedBy

__all__ = [
    "Answered",
    "DigitsSent",
    "Held",
    "Lent",
    "LoanEnded",
    "ParkEnded",
    "Parked",
    "PhoneLost",
    "Retrieved",
    "TalkEnded",
    "Transferred",
]


@frozen(kw_only=True)
class Answered(Event):
    """Caller and agent are bridged: they talk from now."""

    kind = "talk.started"
    queue: str
    waited: float
    leg: str = ""
    """The agent's; empty: there is none."""


@frozen(kw_only=True)
class Held(Event):
    """The agent put the customer on hold: the customer hears music, the agent nothing of the customer."""

    kind = "talk.held"


@frozen(kw_only=True)
class Retrieved(Event):
    """Customer and agent are together again."""

    kind = "talk.retrieved"


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
class Transferred(Event):
    """The agent gave the contact away, to an agent, a queue, a flow, a voice mail box, a number outside or to be parked."""

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
    """The loan is over: ``done``, or without a result: ``cancelled``, ``failed``, ``timeout``, ``interrupted`` or ``left``.

    ``interrupted``: the daemon ended meanwhile, and nobody knows how far it came; ``left``: the customer hung up.  What the
    flow found out is without anything secret.
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
