"""A line of the simulated Asterisk, seen from outside: what a caller or a phone can do, and what reaches it.

Sounds are words: :data:`SILENCE`, :data:`SPEECH`, or the frequency of a pure tone in Hz, ``"440"``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from easycall.simulator.causes import BUSY, NORMAL

if TYPE_CHECKING:
    from easycall.simulator.fax import Machine

__all__ = ["SILENCE", "SPEECH", "FarEnd", "Line", "Outside", "Unreachable", "mixed"]

SILENCE = ""
SPEECH = "speech"


def mixed(*sounds: str) -> str:
    """What is heard of several at once: two of them are no pure tone any more."""
    heard = {sound for sound in sounds if sound != SILENCE}
    return SPEECH if len(heard) > 1 else next(iter(heard), SILENCE)


class Line(Protocol):
    """The far end's hand on its line.  What comes too late (the line is over, or answered already) does nothing."""

    @property
    def id(self) -> str:
        """Asterisk's Uniqueid of the channel at the other end."""

    @property
    def hears(self) -> str:
        """What is on the line now."""

    @property
    def up(self) -> bool:
        """Answered, and not over."""

    @property
    def over(self) -> bool:
        """True once the line is down."""

    def header(self, name: str) -> str:
        """A header of the call that came in at a phone; empty when there is none."""

    def ring(self) -> None:
        """The phone rings (SIP 180)."""

    def answer(self) -> None:
        """Take the call."""

    def decline(self, cause: int = BUSY) -> None:
        """Refuse the call."""

    def hang_up(self, cause: int = NORMAL) -> None:
        """Hang up, or give up dialling."""

    def die(self) -> None:
        """Fall silent for ever, without a word; Asterisk has given up waiting for sound (``rtp_timeout``)."""

    def press(self, key: str) -> None:
        """Press one key: 100 ms of DTMF."""

    def say(self, sound: str) -> None:
        """Put a sound on the line from now on."""

    def start_fax(self, machine: Machine) -> None:
        """Start a fax machine."""


class FarEnd:
    """Who is at the other end of a line; everything does nothing until a subclass says what."""

    line: Line
    """Set before anything is told."""

    def rung(self, caller: str, caller_name: str) -> None:
        """We are a phone and are called; it rings when we say so (:meth:`Line.ring`)."""

    def answered(self) -> None:
        """The call is answered, by us or by the PBX."""

    def heard_key(self, key: str) -> None:
        """A key that the other side pressed arrived whole."""

    def heard(self, sound: str) -> None:
        """What is on the line changed."""

    def ended(self, cause: int) -> None:
        """The line is down; why, as a hang-up cause of Q.850."""


class Unreachable:
    """A phone that is known to Asterisk and does not answer to it: the far end of no line."""


Outside = Callable[[str], FarEnd | Unreachable | None]
"""Who is at the far end of what is dialled, ``PJSIP/2001@world``; None: Asterisk knows no such endpoint."""
