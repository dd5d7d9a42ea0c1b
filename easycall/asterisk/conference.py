"""Legs of an Asterisk in one ConfBridge: a :class:`easycall.ports.Conference`.

Each leg is put there from home, by ``EXEC ConfBridge`` in its FastAGI session, which goes on as long as the leg is in it.
``EXEC`` does not notice that the daemon died, so that a conference outlives us.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from easycall.asterisk.ami import Action
from easycall.asterisk.channel import AsteriskChannel
from easycall.asterisk.link import AmiError
from easycall.defer import Bell, start
from easycall.ports import ActionFailed, Channel, HungUp, Taken

__all__ = ["SETTINGS", "AsteriskConference"]

log = Logger()

SETTINGS: Mapping[str, str] = {"quiet": "yes", "dtmf_passthrough": "yes"}
"""Of everybody in a conference: nobody hears who comes and goes, and keys reach the others.  The rest is the site's own
``default_user`` of confbridge.conf, or Asterisk's."""


class AsteriskConference:
    """Made of legs at home; each is on its way into the room then."""

    def __init__(self, room: str, legs: Sequence[AsteriskChannel], send: Callable[[Action], Awaitable[object]]) -> None:
        """``send`` sends an action over AMI."""
        self._room = room
        self._legs = legs
        self._send = send
        self._left: AsteriskChannel | None = None
        self._leaving = Bell()
        for leg in legs:
            leg.when_back().addCallback(self._attended, leg)
            start(leg.attend(room, SETTINGS)).addBoth(self._attended, leg)

    @property
    def complete(self) -> bool:
        """Every leg is shown in one bridge."""
        return self._left is None and len({leg.bridge for leg in self._legs}) == 1 and bool(self._legs[0].bridge)

    def when_left(self) -> Deferred[None]:
        """Fires when the first of them has left, or did not come."""
        return self._leaving.wait()

    def _attended(self, result: object, leg: AsteriskChannel) -> None:
        if isinstance(result, Failure):
            if result.check(HungUp, Taken):
                return  # gone, or only its session is: that it came home, or ended, is told apart
            log.error("{leg} cannot be in a conference: {why}", leg=leg, why=result.getErrorMessage())
        self._leaves(leg)

    def _leaves(self, leg: AsteriskChannel) -> None:
        if self._left is None:
            self._left = leg
            self._leaving.ring()

    # easycall.ports.Conference

    async def left(self) -> Channel:
        """Wait until one of them is not in it any more; the one who left first."""
        await self._leaving.wait()
        assert self._left is not None  # noqa: S101 - for the type checker: the bell rings after it is set
        return self._left

    async def mute(self, channel: Channel, muted: bool) -> None:
        """Mute or unmute one of them.  Raises ActionFailed."""
        name = next((leg.name for leg in self._legs if leg is channel), "")  # the action knows channels by name only
        try:
            await self._send(
                Action.of("ConfbridgeMute" if muted else "ConfbridgeUnmute", Conference=self._room, Channel=name)
            )
        except AmiError as refusal:
            raise ActionFailed(str(refusal)) from None
