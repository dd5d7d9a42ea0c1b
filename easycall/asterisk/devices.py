"""What the state of a phone's device means, when some of the calls at the phone are ours.  Pure.

Asterisk tells of a device only that it rings or is in use, not for whom, and tells it late: before or behind what it tells
of our own legs to that phone.  So a device in use is somebody else's call when no leg of ours explains it, or when the last
one that did has been gone for longer than news takes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from attrs import frozen

from easycall.model import PhoneState

__all__ = ["SETTLED_SECONDS", "OurLegs", "device_pattern", "judged"]

SETTLED_SECONDS = 0.5
"""How long a device may still show a leg of ours that has ended, or show an answer before we know of it."""

_GONE = frozenset({"UNAVAILABLE", "INVALID"})
_ENGAGED = frozenset({"INUSE", "BUSY", "ONHOLD", "RINGING", "RINGINUSE"})


@frozen
class OurLegs:
    """Our legs to one phone."""

    ringing: bool = False
    """One rings, or is being made."""
    answered: bool = False
    """One was answered and has not ended."""
    ended: float = -math.inf
    """When the last one ended."""


def judged(device: str, since: float, ours: OurLegs, now: float) -> tuple[PhoneState | None, float | None]:
    """What the phone does besides our own calls: idle, in use, ringing, unreachable or unknown.

    ``device``: the state Asterisk tells (``NOT_INUSE``, ``INUSE`` …), told at ``since``.  The first of the answer is None as
    long as it cannot be said; the second is then when to ask again.
    """
    if device in _GONE:
        return PhoneState.UNREACHABLE, None
    if device not in _ENGAGED:
        return (PhoneState.IDLE if device == "NOT_INUSE" else PhoneState.UNKNOWN), None
    if ours.answered or (ours.ringing and device == "RINGING"):
        return PhoneState.IDLE, None
    # Ours does not explain it.  It may have done so until just now, or the answer is on its way.
    sure = ours.ended + SETTLED_SECONDS
    if ours.ringing and device != "RINGINUSE":
        sure = max(sure, since + SETTLED_SECONDS)
    if now < sure:
        return None, sure
    return (PhoneState.RINGING if device == "RINGING" else PhoneState.IN_USE), None


def device_pattern(dial: str) -> Callable[[str], str]:
    """Gives the phone that a device is, ``""`` for none, by the dial string with ``{phone}``.

    A phone has a device of its own only where nothing but its name stands behind the technology: ``PJSIP/{phone}``; of one
    that is dialled through a trunk nothing is known.
    """
    technology, _, rest = dial.partition("/")
    if "@" in rest or "/" in rest:
        return lambda device: ""
    before, _, behind = rest.partition("{phone}")
    pattern = re.compile(rf"{re.escape(technology)}/{re.escape(before)}(.+){re.escape(behind)}", re.IGNORECASE)

    def phone_of(device: str) -> str:
        found = pattern.fullmatch(device)
        return found[1] if found else ""

    return phone_of
