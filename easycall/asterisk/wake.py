"""The watch over an Asterisk whose link is lost: is it dead, and with it everybody who talks there?"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from easycall.asterisk.channel import AsteriskChannel, Place
from easycall.asterisk.roster import Roster

__all__ = ["Wake"]

REFUSED_SECONDS = 5.0
"""For how long nobody listens at Asterisk's AMI port before we take it for dead."""

UNHEARD_SECONDS = 60.0
"""The same when nothing at all is heard of it: its machine or the network is away."""

LOOK_SECONDS = 1.0
"""How often we look."""


class Wake:
    """Legs that speak FastAGI with us prove that Asterisk lives, however long its AMI is away.

    Without such proof those who talk there could hold agents for ever; they are given up.
    """

    def __init__(
        self,
        clock: IReactorTime,
        legs: Roster,
        refused: Callable[[], float | None],
        heard: Callable[[], float | None],
        give_up: Callable[[AsteriskChannel], None],
    ) -> None:
        """``refused``: since when tries to connect are refused; ``heard``: when its AMI said something last, None: there
        is no connection; ``give_up`` is told of each leg of a dead Asterisk."""
        self._clock = clock
        self._legs = legs
        self._refused = refused
        self._heard = heard
        self._give_up = give_up
        self._since = 0.0
        self._timer: IDelayedCall | None = None

    def begin(self) -> None:
        """The link is lost."""
        self._since = self._clock.seconds()
        self._wait()

    def end(self) -> None:
        """It is back, or nobody wants to know any more."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def _wait(self) -> None:
        self.end()
        if len(self._legs):
            self._timer = self._clock.callLater(LOOK_SECONDS, self._look)

    def _look(self) -> None:
        if self._is_dead():
            for leg in self._legs:  # a caller's before the agent's, as they were made: nobody is to be found another agent
                self._give_up(leg)
        self._wait()

    def _is_dead(self) -> bool:
        now, refused = self._clock.seconds(), self._refused()
        since = max(self._since, self._heard() or self._since)
        silent = now >= since + UNHEARD_SECONDS or (refused is not None and now >= refused + REFUSED_SECONDS)
        return silent and not any(leg.place is Place.HOME for leg in self._legs)
