"""The facts of a caller in an IVR flow."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from easycall.events.base import Event

__all__ = ["Collected", "FlowStep", "MenuAnswered", "ServiceAsked"]


@frozen(kw_only=True)
class FlowStep(Event):
    """The caller reached a node of an IVR flow."""

    kind = "ivr.step"
    flow: str
    node: str


@frozen(kw_only=True)
class MenuAnswered(Event):
    """The caller chose.  The name of the choice, never the keys."""

    kind = "ivr.answered"
    node: str
    choice: str


@frozen(kw_only=True)
class Collected(Event):
    """The caller keyed a value that was asked for.  Of a secret only that it was keyed: ``value`` is empty then."""

    kind = "ivr.collected"
    node: str
    name: str
    value: str = ""


@frozen(kw_only=True)
class ServiceAsked(Event):
    """A flow handed values to a service outside: ``answered``, ``misfit`` (not as declared), ``failed`` or ``cancelled``.

    After the last three the service may have done what it was asked.
    """

    kind = "ivr.service"
    node: str
    service: str
    outcome: str
    taken: Mapping[str, str] = field(factory=dict)
    """What the flow knows from the answer, without anything secret."""
