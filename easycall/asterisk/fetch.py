"""Legs told to come home, from wherever they are: AMI's Redirect, and the wait until their FastAGI sessions are there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from easycall.asterisk.channel import AsteriskChannel
from easycall.asterisk.control import Control
from easycall.asterisk.link import AmiError
from easycall.asterisk.reconciliation import Reconciliation
from easycall.asterisk.roster import Roster
from easycall.defer import dropped, limited, shielded, start
from easycall.ports import BridgeFailed, Channel, HungUp

__all__ = ["ARRIVAL_SECONDS", "Fetch"]

log = Logger()

FETCHES = 3
"""How often legs are told to come home before that is given up."""

ARRIVAL_SECONDS = 1.0
"""How long a leg may take to come home, or into a bridge: a millisecond is usual."""


class Fetch:
    """Takes legs home."""

    def __init__(self, legs: Roster, control: Control, reconciliation: Reconciliation, clock: IReactorTime) -> None:
        self._legs = legs
        self._control = control
        self._reconciliation = reconciliation
        self._clock = clock

    async def home(self, *channels: Channel, there: Callable[[AsteriskChannel], bool] = lambda leg: leg.idle) -> None:
        """Redirect legs home; one whose Redirect was lost (its application was just ending) is told once more.

        ``there``: whether a leg need not be told (any more).  Raises HungUp, BridgeFailed.
        """
        for _ in range(FETCHES):
            away = self._away(channels, there)
            if not away:
                return
            await self._control.reachable(*away)
            await self._send_home(away)
        if self._away(channels, there):
            raise BridgeFailed("the legs do not come home")

    def _away(self, channels: Sequence[Channel], there: Callable[[AsteriskChannel], bool]) -> list[AsteriskChannel]:
        """Those that must be told.  Raises HungUp."""
        legs = [self._legs.get(channel.id) for channel in channels]
        away = [leg for leg in legs if leg is not None and not there(leg)]
        if None in legs or any(leg.gone for leg in away):
            raise HungUp
        return away

    async def _send_home(self, legs: list[AsteriskChannel]) -> None:
        # Two who talk, or are just being joined, leave together: of one sent home alone the other comes too, and would be
        # sent a second time.
        legs.sort(key=lambda leg: (leg.taking, leg.bridge), reverse=True)
        backs = [leg.when_back() for leg in legs]
        try:
            for index in range(0, len(legs), 2):
                await self._control.send_home(*(leg.id for leg in legs[index : index + 2]))
            await limited(start(_every(backs)), ARRIVAL_SECONDS, self._clock)
        except (AmiError, TimeoutError) as failure:
            log.warn("{pbx}: legs did not come home: {failure}", pbx=self._control.name, failure=failure)
            for back in backs:
                dropped(back)
            await shielded(self._reconciliation.reconcile(*legs))


async def _every(news: Sequence[Deferred[None]]) -> None:
    """Wait for all of them."""
    for each in news:
        await each
