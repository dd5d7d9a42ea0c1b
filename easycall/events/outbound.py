"""The facts of calls out, of those who were called, and of whom nobody may call."""

from __future__ import annotations

from attrs import frozen

from easycall.events.base import Event
from easycall.model import DialOutcome, EndedBy

__all__ = [
    "CallAnswered",
    "CallCut",
    "CallDialled",
    "CallFailed",
    "CallRinging",
    "NumberListed",
    "NumberUnlisted",
    "OutsideEnded",
    "OutsideStarted",
]


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
