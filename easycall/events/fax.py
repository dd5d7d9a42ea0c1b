"""The facts of faxes."""

from __future__ import annotations

from attrs import frozen

from easycall.events.base import Event
from easycall.model import FaxOutcome

__all__ = ["FaxEnded", "FaxProgress", "FaxReceived", "FaxStarted"]


@frozen(kw_only=True)
class FaxStarted(Event):
    """The customer is asked to start the fax machine: ``send`` a document to it, or ``receive`` one from it."""

    kind = "fax.started"
    operation: str
    document: str = ""
    """What is sent; empty of one that is received."""
    pages: int = 0
    """How many it has; 0 of one that is received: nobody knows yet."""


@frozen(kw_only=True)
class FaxProgress(Event):
    """The machines are at this page, counted from 1."""

    kind = "fax.progress"
    page: int


@frozen(kw_only=True)
class FaxEnded(Event):
    """The fax is over; ``pages`` went over whole.  The customer comes back, unless the machine has hung up."""

    kind = "fax.ended"
    operation: str
    document: str = ""
    outcome: FaxOutcome
    pages: int
    error: str = ""
    station: str = ""
    """What the other machine calls itself."""
    rate: int = 0
    """Bits a second."""


@frozen(kw_only=True)
class FaxReceived(Event):
    """Pages came from the contact's machine and are stored: they can be fetched from now on."""

    kind = "fax.received"
    fax: str
    box: str
    pages: int
    station: str = ""
