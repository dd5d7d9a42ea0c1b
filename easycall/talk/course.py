"""What becomes of a contact next, when it leaves a flow or an agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

from attrs import field, frozen

from easycall.acd.staff import Assignment
from easycall.policy import Asked
from easycall.ports import Conference, Conversation

if TYPE_CHECKING:
    from easycall.ivr.runner import Waiting
    from easycall.outbound.dialling import Route
    from easycall.outbound.outsider import Outsider
    from easycall.talk.ringing import Side

__all__ = [
    "Course",
    "Farewell",
    "Joined",
    "Outside",
    "OutsideConference",
    "Reach",
    "ReachOutside",
    "RunFlow",
    "Stay",
    "TakeMessage",
    "Wait",
]


@frozen
class RunFlow:
    """The contact goes on in a flow."""

    flow: str
    waited: Waiting | None = None
    """The caller comes from a queue of this flow, by a key; None: the flow begins."""


@frozen
class Wait:
    """The contact goes on in a queue."""

    queue: str
    enqueued: float | None = None
    """When it joined, for its place in line; None: when it does, behind the others."""
    refused: Mapping[str, float] = field(factory=dict)
    """Agents who did not take it just now -> until when it is not offered to them again."""
    flow: RunFlow | None = None
    """The flow it came from, and how it goes on there when the caller presses a key; None: it does not."""
    since: float | None = None
    """When it began to wait, as the rules of the queue count; None: now."""
    asked: Asked | None = None
    """What the flow asks for in the customer's name; None: it comes from no flow, see :class:`easycall.model.Contact`."""
    overflowed: bool = False
    """It comes from a queue whose rule sent it on; else with a place in line it comes back, and is not kept out."""


@frozen
class Reach:
    """The contact goes on to one agent, who is reserved; if that comes to nothing, to the front of the queue."""

    assignment: Assignment
    queue: str
    by: str
    """The agent who sends it; empty: nobody does."""
    enqueued: float | None = None
    """Its place in that queue; None: the front."""


@frozen
class Stay:
    """The contact is parked; in the end it goes back to the agent who parked it, or to the front of the queue."""

    queue: str
    by: str


@frozen
class TakeMessage:
    """The contact leaves a message."""

    box: str


@frozen
class Farewell:
    """The contact ends, when a text was heard."""

    say: str
    """A text, or ``sound:NAME``; empty: at once."""


@frozen
class Joined:
    """The customer is with an agent already."""

    side: Side
    conversation: Conversation
    queue: str
    since: float
    """When the customer was there."""


@frozen
class ReachOutside:
    """The contact goes on to a number outside; if that comes to nothing, to the front of the queue."""

    route: Route
    queue: str
    by: str
    """The agent who sends it."""


@frozen
class Outside:
    """The customer is with somebody outside already."""

    outsider: Outsider
    conversation: Conversation
    queue: str
    """Where the contact goes on if that was lost at once."""


@frozen
class OutsideConference:
    """The customer is in a conference with several people outside already."""

    outsiders: tuple[Outsider, ...]
    room: Conference
    queue: str
    """Where the contact goes on if they are lost at once."""


Course: TypeAlias = (
    RunFlow | Wait | Reach | Joined | ReachOutside | Outside | OutsideConference | Stay | TakeMessage | Farewell | None
)
"""None: the contact ends."""
