"""What waits without a call, or is left by one: requests, voice mail, faxes."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from attrs import field, frozen

from easycall.policy import Channel

__all__ = ["HUNG_UP_EARLY", "FaxOutcome", "FaxResult", "Message", "Request"]


@frozen
class Request:
    """Something for an agent that did not begin with a call, as it is kept until it is done."""

    id: str
    """That of its contact."""
    channel: Channel
    queue: str
    """Where it waits, or came from."""
    since: float
    """Since when it counts as waiting."""
    created: float
    number: str = ""
    """The customer's, in full form."""
    address: str = ""
    """Where else the customer is to be found: of mail, or of a chat."""
    name: str = ""
    skills: str = ""
    """What it asks for beside what its queue does."""
    priority_seconds: float = 0.0
    """Points of score beside those of its queue."""
    data: Mapping[str, str] = field(factory=dict)
    about: str = ""
    """The id of the voice mail or fax it is about."""
    created_by: str = ""
    """The name of the API token; empty: the daemon itself."""


@frozen
class Message:
    """What a caller left in a voice mail box."""

    id: str
    box: str
    contact: str
    caller: str
    caller_name: str
    at: float
    seconds: float = 0.0


class FaxOutcome(StrEnum):
    """How a fax ended."""

    DONE = "done"
    """All pages went over."""
    FAILED = "failed"
    """They did not; the error says why.  Some of the pages may have."""
    CANCELLED = "cancelled"
    """It was broken off from here."""


HUNG_UP_EARLY = "the other side hung up too early"
"""An error of a fax."""


@frozen
class FaxResult:
    """What the switch says of a fax that is over."""

    outcome: FaxOutcome
    pages: int = 0
    """How many the other machine has confirmed, or we have."""
    error: str = ""
    station: str = ""
    """What the other machine calls itself."""
    rate: int = 0
    """Bits a second."""
