"""What becomes of a contact next, when it leaves a flow or an agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from attrs import field, frozen

from easycall.acd.staff import Assignment
from easycall.policy import Asked, WorkItem
from easycall.ports import Conference, Conversation

if TYPE_CHECKING:
    from easycall.acd.offers import Place
    from easycall.ivr.runner import Resumed, Waiting
    from easycall.outbound.dialling import Route
    from easycall.outbound.outsider import Outsider
    from easycall.talk.ringing import Side
    from easycall.talk.talk import StageOfTalk, Talk

__all__ = [
    "Course",
    "Farewell",
    "Joined",
    "Outside",
    "OutsideConference",
    "Reach",
    "ReachOutside",
    "RunFlow",
    "Rung",
    "RungOutside",
    "Stay",
    "TakeMessage",
    "TalkOn",
    "Wait",
]


@frozen
class RunFlow:
    """The contact goes on in a flow."""

    flow: str
    waited: Waiting | None = None
    """The caller comes from a queue of this flow, by a key; None: the flow begins."""
    resumed: Resumed | None = None
    """The caller was in it when the process before us ended."""


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
    found: WorkItem | None = None
    """It waited there as this when the process before us ended: it was told already."""
    place: Place | None = None
    """It is in line already."""


@frozen
class Reach:
    """The contact goes on to one agent, who is reserved; if that comes to nothing, to the front of the queue."""

    assignment: Assignment
    queue: str
    by: str
    """The agent who sends it; empty: nobody does."""
    enqueued: float | None = None
    """Its place in that queue; None: the front."""
    place: Place | None = None
    """It is in line there still, until the agent has it."""


@frozen
class Rung:
    """Phones of agents ring for the contact, which a process before us rang; if that comes to nothing it waits on."""

    sides: Sequence[Side]
    back: Wait


@frozen
class TalkOn:
    """An agent has the contact since before this process began."""

    talk: Talk
    stage: StageOfTalk


@frozen
class Stay:
    """The contact is parked; in the end it goes back to the agent who parked it, or to the front of the queue."""

    queue: str
    by: str
    until: float | None = None
    """When; None: when it has been parked as long as it may be.  It is given, it was told already."""


@frozen
class TakeMessage:
    """The contact leaves a message."""

    box: str
    began: bool = False
    """It did so already when the process before us ended."""


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
class RungOutside:
    """A telephone outside rings for the customer; if that comes to nothing, the contact goes on first in line."""

    outsider: Outsider
    queue: str


@frozen
class Outside:
    """The customer is with somebody outside already."""

    outsider: Outsider
    conversation: Conversation
    queue: str
    """Where the contact goes on if that was lost at once."""
    told: bool = False
    """They were together before this process began."""


@frozen
class OutsideConference:
    """The customer is in a conference with several people outside already."""

    outsiders: tuple[Outsider, ...]
    room: Conference
    queue: str
    """Where the contact goes on if they are lost at once."""
    told: bool = False
    """They were together before this process began."""


Course: TypeAlias = (
    RunFlow
    | Wait
    | Reach
    | Rung
    | Joined
    | TalkOn
    | ReachOutside
    | RungOutside
    | Outside
    | OutsideConference
    | Stay
    | TakeMessage
    | Farewell
    | None
)
"""None: the contact ends."""
