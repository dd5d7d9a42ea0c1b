"""How a leg of the world listens: whether a sound is on the line, and what was there instead."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from easycall.lab.tones import FRAME_SECONDS

__all__ = ["SILENT_SECONDS", "SPEECH_SECONDS", "SPEECH_WITHIN", "Ear"]

SILENT_SECONDS = 0.2
"""After so long without a sound it is silent: pauses between sounds are shorter."""
SPEECH_WITHIN, SPEECH_SECONDS = 0.5, 0.16
"""Speech has been heard when that much of the last half second was."""


class Ear(ABC):
    """What one leg hears."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock

    @abstractmethod
    def tone(self, frequency: int) -> bool:
        """Whether a pure tone of so many Hz is heard."""

    @abstractmethod
    def silence(self) -> bool:
        """Whether there has been no sound for a fifth of a second."""

    @abstractmethod
    def speech(self) -> bool:
        """Whether something that is no tone was heard for a good part of the last half second."""

    @abstractmethod
    def longest_gap(self, frequency: int, since: float) -> float:
        """The longest time from then on, in seconds, in which a pure tone of so many Hz was not heard.

        ``since`` is a time of the clock, of the last ten seconds.
        """

    @abstractmethod
    def heard_since(self, at: float) -> str:
        """What was heard from then on, in words; ``at`` is a time of the clock."""

    async def hears(self, wanted: Callable[[], bool], seconds: float) -> str | None:
        """Wait until ``wanted`` (one of the above) is so; after ``seconds`` give what was heard instead."""
        began = self._clock.seconds()
        while not wanted():
            if self._clock.seconds() >= began + seconds:
                return self.heard_since(began)
            await deferLater(self._clock, FRAME_SECONDS)
        return None
