"""Recording a channel: what a MixMonitor puts into its file, for whoever keeps it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from easycall.simulator.channel import Channel

__all__ = ["MixMonitor", "Tape"]


class Tape(Protocol):
    """The file of one recording."""

    def hears(self, sounds: Sequence[str]) -> None:
        """These sounds are recorded at once from now on; none: silence."""

    def stop(self) -> None:
        """It is over.  A second time does nothing."""


class MixMonitor:
    """One recording of a channel."""

    def __init__(self, channel: Channel, file: str, tape: Callable[[str], Tape] | None) -> None:
        """``tape`` makes the file; None: nothing is written."""
        self.file = file
        self._channel = channel
        self._muted = ""
        self._tape = tape(file) if tape is not None else None
        self.sound_changed()

    @property
    def muted(self) -> str:
        """Of which side silence is recorded: ``read`` (what comes from it), ``write``, ``both``, or empty."""
        return self._muted

    @muted.setter
    def muted(self, direction: str) -> None:
        self._muted = direction
        self.sound_changed()

    def sound_changed(self) -> None:
        """The channel hears or says something else."""
        if self._tape is not None:
            said = self._channel.far_sound if self._muted in ("", "write") else ""
            heard = self._channel.hears if self._muted in ("", "read") else ""
            self._tape.hears([sound for sound in (said, heard) if sound])

    def stop(self) -> None:
        """It is over."""
        if self._tape is not None:
            self._tape.stop()
