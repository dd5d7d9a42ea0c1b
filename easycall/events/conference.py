"""The facts of more than two in a talk: consultations, and the conferences they become."""

from __future__ import annotations

from attrs import frozen

from easycall.events.base import Event
from easycall.model import OfferOutcome, Party

__all__ = [
    "ConferenceEnded",
    "ConferenceJoined",
    "ConferenceLeft",
    "ConferenceStarted",
    "ConsultAnswered",
    "ConsultEnded",
    "ConsultStarted",
    "PartyMuted",
]


@frozen(kw_only=True)
class ConsultStarted(Event):
    """The agent asks another one, whose phone is rung; the customer hears music, or is in a conference that goes on."""

    kind = "consult.started"
    to: str
    attempt: int


@frozen(kw_only=True)
class ConsultAnswered(Event):
    """The two agents talk, and nobody hears them."""

    kind = "consult.answered"
    to: str
    attempt: int


@frozen(kw_only=True)
class ConsultEnded(Event):
    """The consultation is over: it was not answered, was broken off, or the two parted."""

    kind = "consult.ended"
    to: str
    attempt: int
    outcome: OfferOutcome


@frozen(kw_only=True)
class ConferenceStarted(Event):
    """Customer, agent and the one who was consulted (``to``) hear each other."""

    kind = "conference.started"
    to: str


@frozen(kw_only=True)
class PartyMuted(Event):
    """One of a conference is not heard by the others, or, with ``muted`` false, is heard again."""

    kind = "conference.muted"
    party: Party
    muted: bool
    who: str = ""
    """The agent, or the number outside; empty: the customer, or the agent who has the contact."""


@frozen(kw_only=True)
class ConferenceJoined(Event):
    """One more was consulted and is in the conference now."""

    kind = "conference.joined"
    to: str


@frozen(kw_only=True)
class ConferenceLeft(Event):
    """One of a conference left it, and it goes on with the others."""

    kind = "conference.left"
    party: Party
    who: str


@frozen(kw_only=True)
class ConferenceEnded(Event):
    """One of a conference left it: the other two go on."""

    kind = "conference.ended"
    left: Party
    held: bool = False
    """The agent is just asking another one, and the customer hears music."""
