"""The facts of supervisors who listen."""

from __future__ import annotations

from attrs import frozen

from easycall.events.base import Event
from easycall.model import SupervisionMode

__all__ = ["OF_SUPERVISION", "SupervisionChanged", "SupervisionEnded", "SupervisionMoved", "SupervisionStarted"]


@frozen(kw_only=True)
class SupervisionStarted(Event):
    """A supervisor's phone is rung to listen to ``contact``, or to each contact of ``agent`` in turn.

    Of all supervision events, ``agent`` is who is supervised.
    """

    kind = "supervision.started"
    supervision: str
    supervisor: str
    mode: SupervisionMode
    follows: str
    """``contact`` or ``agent``."""
    by: str
    """The name of the token that asked for it."""


@frozen(kw_only=True)
class SupervisionMoved(Event):
    """From now the supervisor hears the contact, or hears it no more."""

    kind = "supervision.moved"
    supervision: str
    supervisor: str
    mode: SupervisionMode
    hears: bool


@frozen(kw_only=True)
class SupervisionChanged(Event):
    """The supervisor listens, whispers or barges in from now."""

    kind = "supervision.mode"
    supervision: str
    supervisor: str
    mode: SupervisionMode
    by: str


@frozen(kw_only=True)
class SupervisionEnded(Event):
    """The supervision is over."""

    kind = "supervision.ended"
    supervision: str
    supervisor: str
    how: str
    """``api``, ``supervisor`` (hung up), ``contact`` (ended), ``agent`` (logged out), ``taken_over``, ``restart`` (the
    daemon ended, and the supervisor was hung up), how the ringing ended (:class:`OfferOutcome`), or ``failed``."""
    by: str = ""
    """The name of the token that asked for the end; empty: nobody did."""


OF_SUPERVISION = (SupervisionStarted, SupervisionMoved, SupervisionChanged, SupervisionEnded)
"""What the agent who is supervised may not be told (setting ``supervision.tell_agents``)."""
