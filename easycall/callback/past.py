"""What was told of the contact of a callback before the daemon started: a fold over its events.  Pure."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import define

from easycall.events import (
    Answered,
    CallAnswered,
    CallbackBegun,
    CallbackEnded,
    CallbackSettled,
    CallDialled,
    CallFailed,
    ContactArrived,
    ContactEnded,
    Event,
    Offered,
    OfferEnded,
)
from easycall.model import OfferOutcome

__all__ = ["Past", "past_of"]


@define
class Past:
    """See the module."""

    arrived: float = 0.0
    """When it began; 0: that was not told."""
    begun: bool = False
    """It was told that the attempt began; its arrival is told behind that."""
    rang: CallDialled | None = None
    """The customer was dialled."""
    answered: bool = False
    """The customer was there."""
    cause: int = 0
    """The network's, of a customer who was not reached."""
    met: Answered | None = None
    """Customer and agent have talked."""
    ended: ContactEnded | None = None
    over: CallbackEnded | None = None
    settled: CallbackSettled | None = None
    offer: Offered | None = None
    """An agent's phone rings, or the agent waits for the customer, as far as was told."""
    attempts: int = 0
    """The number of the last agent it was offered to."""


def past_of(events: Iterable[Event]) -> Past:
    """Of one contact, from its events in their order."""
    past = Past()
    for event in events:
        match event:
            case ContactArrived():
                past.arrived = past.arrived or event.at
                past.begun = True
            case CallbackBegun():
                past.begun = True
            case CallDialled(purpose="customer"):
                past.rang = past.rang or event
            case CallAnswered() if past.rang is not None and event.leg == past.rang.leg:
                past.answered = True
            case CallFailed() if past.rang is not None and event.leg == past.rang.leg:
                past.cause = event.cause
            case Offered():
                past.offer, past.attempts = event, max(past.attempts, event.attempt)
            case OfferEnded():
                past.offer = past.offer if event.outcome is OfferOutcome.ANSWERED else None
            case Answered():
                past.met = past.met or event
            case ContactEnded():
                past.ended = event
            case CallbackEnded():
                past.over = event
            case CallbackSettled():
                past.settled = event
    return past
