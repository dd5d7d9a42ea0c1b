"""The facts of a contact that waits in a queue, and of the queue's rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from easycall.events.base import Event
from easycall.model import OverflowWhen, StrategyOutcome
from easycall.policy import Channel

__all__ = [
    "AskIgnored",
    "QueueAmended",
    "QueueEdited",
    "QueueLeft",
    "QueueOverflowed",
    "QueueResumed",
    "Queued",
    "StrategyAsked",
    "WaitExpected",
]


@frozen(kw_only=True)
class Queued(Event):
    """The contact began to wait."""

    kind = "queue.entered"
    queue: str
    position: int
    since: float = 0.0
    """When it counts as having joined: earlier than now for one who comes back to an old place or to the front."""
    began: float = 0.0
    """Since when it waits, as the rules of the queue count."""
    channel: Channel = Channel.CALL
    skills: str = ""
    """What it asks for beside what its queue does, as it is written in a configuration."""
    offset: float = 0.0
    """Points of score beside those of its queue."""
    owner: str = ""
    """The agent to whom alone it belongs until :attr:`owner_until`."""
    owner_until: float = 0.0


@frozen(kw_only=True)
class WaitExpected(Event):
    """The contact that began to wait has to: how long that was expected to take at this moment, in seconds from now."""

    kind = "queue.expected"
    queue: str
    since: float
    """When it counts as having joined."""
    formula: float | None = None
    """By the formula; None: nobody works for the queue, or it comes back to an old place."""
    head: float | None = None
    """By what the first in line has waited; None: there is none."""


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
