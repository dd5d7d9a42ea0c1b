"""The legs of one Asterisk that are ours, and the timers that belong to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from easycall.asterisk.channel import AsteriskChannel
from easycall.ports import BridgeFailed, Channel

__all__ = ["Roster"]


class Roster:
    """Legs by Uniqueid.  A leg that has ended is not on it, and nothing more is done for it."""

    def __init__(self, name: str, clock: IReactorTime) -> None:
        """``name``: of the Asterisk in the configuration."""
        self._name = name
        self._clock = clock
        self._legs: dict[str, AsteriskChannel] = {}
        self._timers: dict[str, list[IDelayedCall]] = {}
        self._closed = False

    def __iter__(self) -> Iterator[AsteriskChannel]:
        return iter(list(self._legs.values()))

    def __len__(self) -> int:
        return len(self._legs)

    def get(self, leg: str) -> AsteriskChannel | None:
        """The leg of that Uniqueid, if it is ours."""
        return self._legs.get(leg)

    def own(self, channel: Channel) -> AsteriskChannel:
        """The leg behind a channel.  Raises BridgeFailed when it has ended."""
        leg = self.get(channel.id)
        if leg is None:
            raise BridgeFailed(f"{channel.id} is no leg of {self._name} any more")
        return leg

    def add(self, leg: AsteriskChannel) -> AsteriskChannel:
        """A new leg."""
        self._legs[leg.id] = leg
        return leg

    def ended(self, leg: AsteriskChannel, *, seen: bool = True) -> None:
        """A leg is gone; tell it, and forget it.  ``seen``: it went just now."""
        leg.ended(seen=seen)
        self._legs.pop(leg.id, None)
        self._drop_timers(leg.id)

    def later(self, leg: AsteriskChannel, seconds: float, do: Callable[..., None], *arguments: object) -> None:
        """``do`` later, unless the leg ends before."""
        if self._closed or leg.gone:
            return
        timers = [timer for timer in self._timers.get(leg.id, ()) if timer.active()]
        self._timers[leg.id] = [*timers, self._clock.callLater(seconds, do, *arguments)]

    def close(self) -> None:
        """Do nothing more later."""
        self._closed = True
        for leg in list(self._timers):
            self._drop_timers(leg)

    def _drop_timers(self, leg: str) -> None:
        for timer in self._timers.pop(leg, ()):
            if timer.active():
                timer.cancel()
