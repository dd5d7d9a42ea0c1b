"""The facts of callbacks: asked for, in line, what came of each attempt, how they ended.

``contact`` is the one that a fact is about: which led to the callback, or which is its attempt.
"""

from __future__ import annotations

from attrs import frozen

from easycall.events.base import Event
from easycall.model import CallbackSource, CallbackState, Outcome

__all__ = ["CallbackAsked", "CallbackBegun", "CallbackChanged", "CallbackEnded", "CallbackLate", "CallbackSettled"]


@frozen(kw_only=True)
class CallbackAsked(Event):
    """Somebody is to be called back: it is stored, and will be done.  ``agent``: whose it is; empty: anybody's."""

    kind = "callback.asked"
    callback: str
    queue: str
    number: str
    source: CallbackSource
    session: str
    due: float
    """Not before."""
    expires: float
    since: float = 0.0
    """Since when it counts as waiting, of one that keeps a place in line; 0: it keeps none."""
    waited: float = 0.0
    """How long the customer waited before, in seconds."""
    reason: str = ""
    by: str = ""
    """The name of the API token, or the agent; empty: the daemon itself."""


@frozen(kw_only=True)
class CallbackBegun(Event):
    """It is due and possible: its contact is in line.  ``agent``: for whom alone it waits at first."""

    kind = "callback.begun"
    callback: str
    queue: str
    attempt: int
    """How often the customer was dialled before, and one more."""


@frozen(kw_only=True)
class CallbackSettled(Event):
    """Its contact has ended without customer and agent having talked, and it is tried again."""

    kind = "callback.settled"
    callback: str
    queue: str
    outcome: Outcome
    dialled: bool
    """Whether the customer's telephone was dialled: else it was no attempt."""
    due: float
    """When it is tried again, at the earliest."""
    cause: int = 0
    """The network's (ITU-T Q.850); 0: none was told."""


@frozen(kw_only=True)
class CallbackChanged(Event):
    """Somebody changed it.  ``agent``: whose it is now."""

    kind = "callback.changed"
    callback: str
    queue: str
    due: float
    expires: float
    priority: float = 0.0
    by: str = ""
    """The name of the API token; empty: not known any more, as the process it asked died before it could tell."""


@frozen(kw_only=True)
class CallbackLate(Event):
    """It could have been made for so long and was not: supervisors are told, and it is everybody's now."""

    kind = "callback.late"
    callback: str
    queue: str
    due: float


@frozen(kw_only=True)
class CallbackEnded(Event):
    """It came to its final state."""

    kind = "callback.ended"
    callback: str
    queue: str
    source: CallbackSource
    state: CallbackState
    attempts: int
    """How often the customer was dialled."""
    created: float
    why: str = ""
    by: str = ""
    """The name of the API token, of one that was cancelled."""
