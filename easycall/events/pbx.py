"""The facts of our link to an Asterisk."""

from __future__ import annotations

from attrs import frozen

from easycall.events.base import Event

__all__ = ["Corrected", "PbxDown", "PbxUp"]


@frozen(kw_only=True)
class PbxUp(Event):
    """The AMI link to an Asterisk is up and our picture of it was put right."""

    kind = "pbx.up"
    pbx: str


@frozen(kw_only=True)
class PbxDown(Event):
    """The AMI link to an Asterisk is lost."""

    kind = "pbx.down"
    pbx: str
    reason: str


@frozen(kw_only=True)
class Corrected(Event):
    """Reconciliation found a difference between Asterisk and us, and mended it: a health figure."""

    kind = "pbx.corrected"
    pbx: str
    leg: str
    what: str
