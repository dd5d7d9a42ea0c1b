"""The facts of a contact on its way to an agent."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from easycall.events.base import Event
from easycall.model import Direction, OfferOutcome
from easycall.policy import Channel

__all__ = ["OfferEnded", "Offered", "Picked", "ScreenPop", "ScreenPopRevoked"]


@frozen(kw_only=True)
class Picked(Event):
    """An agent takes this contact, which is parked or waits in a queue, and is rung for it."""

    kind = "contact.picked"


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
    callback: str = ""
    """The callback that is made; empty: it is none."""
    reason: str = ""
    """What the customer is called back about."""
    waited_before: float = 0.0
    """How long the customer waited in earlier contacts of the session, in seconds."""


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
