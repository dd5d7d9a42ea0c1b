"""The facts of what was removed: on a customer's request, or as it was too old."""

from __future__ import annotations

from attrs import frozen

from easycall.events.base import Event

__all__ = ["CustomerErased", "DataExpired"]


@frozen(kw_only=True)
class CustomerErased(Event):
    """What was known of a customer was erased on request.  Whose it was is not told."""

    kind = "customer.erased"
    contacts: int
    """Records that are anonymous now."""
    recordings: int
    voicemails: int
    faxes: int
    requests: int
    by: str
    """The name of the API token."""
    callbacks: int = 0


@frozen(kw_only=True)
class DataExpired(Event):
    """What was older than it may be was removed, by the rules of the configuration, in one night."""

    kind = "data.expired"
    contacts: int
    """Records, with all that belongs to them."""
    events: int
    recordings: int
    """Sounds; those of the contacts among them."""
    voicemails: int
    callbacks: int = 0
