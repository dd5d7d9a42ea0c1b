"""The longest that legs may last, as Asterisk keeps it: it ends them even when we are not there.

A Bridge that takes a leg out of its application makes Asterisk forget (docs/asterisk.rst), so it is told again then, and
when the link was away.
"""

from __future__ import annotations

from contextlib import suppress

from twisted.internet.interfaces import IReactorTime

from easycall.asterisk.ami import Action
from easycall.asterisk.channel import AsteriskChannel
from easycall.asterisk.control import Control
from easycall.asterisk.link import AmiError
from easycall.defer import unattended

__all__ = ["TimeLimits"]


class TimeLimits:
    """Keeps Asterisk informed."""

    def __init__(self, control: Control, clock: IReactorTime) -> None:
        self._control = control
        self._clock = clock

    def begin(self, leg: AsteriskChannel, seconds: float) -> None:
        """The leg may last so long from now."""
        leg.ends_at = self._clock.seconds() + seconds
        self.remind(leg)

    def remind(self, leg: AsteriskChannel) -> None:
        """Asterisk may not know, or not any more."""
        if leg.ends_at is not None and self._control.link.linked and not self._control.released:
            unattended(self._tell(leg.id, max(1, round(leg.ends_at - self._clock.seconds()))))

    async def _tell(self, leg: str, seconds: int) -> None:
        with suppress(AmiError):  # gone meanwhile, or the link is: then it is told when that is back
            await self._control.link.send(Action.of("AbsoluteTimeout", Channel=leg, Timeout=str(seconds)))
