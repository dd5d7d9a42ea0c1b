"""Telling one Asterisk what to do: whether it can be told now, and the wait until it can.

The AMI link comes and goes, legs stay: what cannot be told now is told when the link is back.
"""

from __future__ import annotations

from contextlib import suppress

from twisted.internet.defer import Deferred

from easycall.asterisk.ami import Action
from easycall.asterisk.causes import NORMAL_CLEARING
from easycall.asterisk.channel import AsteriskChannel
from easycall.asterisk.link import AmiError
from easycall.asterisk.manager import Manager
from easycall.defer import Bell, first, unattended
from easycall.ports import BridgeFailed

__all__ = ["NEWS_SECONDS", "Control"]

NEWS_SECONDS = 0.1
"""How long news that is on its way may take: an event that Status overtook, the loss of a link that refuses already."""


class Control:
    """Asterisk as it can be told: up while actions reach it and our picture of it is right."""

    def __init__(self, name: str, context: str) -> None:
        """``name``: of the Asterisk in the configuration; ``context``: where legs are at home in the dialplan."""
        self.name = name
        self.context = context
        self.released = False
        """Nothing is told any more: the daemon stops, and every call goes on without it."""
        self._manager: Manager | None = None
        self._up = Bell()

    @property
    def up(self) -> bool:
        """True while actions reach the Asterisk and our picture of it is right."""
        return self._up.rung

    def when_up(self) -> Deferred[None]:
        """Fires when that is so, at once if it is."""
        return self._up.wait()

    def opened(self) -> None:
        """It is so now."""
        self._up.ring()

    def closed(self) -> None:
        """The link is lost."""
        self._up = Bell()

    def release(self) -> None:
        """Tell nothing more."""
        self.released = True

    def use(self, manager: Manager) -> None:
        """Send actions over this AMI link."""
        self._manager = manager

    @property
    def link(self) -> Manager:
        """The AMI link.  Raises RuntimeError when none was given."""
        if self._manager is None:
            raise RuntimeError(f"{self.name}: no AMI link was given (use)")
        return self._manager

    async def reachable(self, *legs: AsteriskChannel) -> None:
        """Wait until Asterisk can be told of these legs.  Raises BridgeFailed when one of them is gone."""
        if not self.up:
            await first(self._up.wait(), *(leg.when_gone() for leg in legs))
        if any(leg.gone for leg in legs):
            raise BridgeFailed("a leg is gone")

    def hang_up(self, leg: str, cause: str = NORMAL_CLEARING) -> bool:
        """Send a hang-up for a leg, given by its Uniqueid; False when Asterisk cannot be told now.

        Its answer is what events and audits show.
        """
        if self.released:
            return True
        if not self.link.linked:
            return False
        unattended(self._hang_up(leg, cause))
        return True

    async def _hang_up(self, leg: str, cause: str) -> None:
        # Refused: not there yet, or gone.  What Asterisk tells of the leg next decides; hang_up is called again.
        with suppress(AmiError):
            await self.link.send(Action.of("Hangup", Channel=leg, Cause=cause))

    async def send_home(self, leg: str, extra: str = "") -> None:
        """Redirect one leg or two home, given by their Uniqueids: two leave their bridge together.  Raises AmiError."""
        home = {"Context": self.context, "Exten": "s", "Priority": "1"}
        second = {"ExtraChannel": extra, **{f"Extra{name}": value for name, value in home.items()}} if extra else {}
        await self.link.send(Action.of("Redirect", Channel=leg, **home, **second))
