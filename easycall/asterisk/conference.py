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

__all__ = ["SETTINGS", "AsteriskConference", "Attendance"]

log = Logger()

SETTINGS: Mapping[str, str] = {"quiet": "yes", "dtmf_passthrough": "yes"}
"""Of everybody in a conference: nobody hears who comes and goes, and keys reach the others.  The rest is the site's own
``default_user`` of confbridge.conf, or Asterisk's."""


class Attendance:
    """One leg's stay in a room.  Made of a leg at home, it is on its way there then; of one that is there, it stays."""

    def __init__(self, leg: AsteriskChannel, room: str, *, there: bool = False) -> None:
        """``there``: it is in that room already, where a process before us put it."""
        self.leg = leg
        self._over = Bell()
        leg.when_back().addCallback(lambda _: self._over.ring())
        if not there:
            start(leg.attend(room, SETTINGS)).addBoth(self._attended)

    def when_over(self) -> Deferred[None]:
        """Fires when the leg has left, or did not come."""
        return self._over.wait()

    def _attended(self, result: object) -> None:
        if isinstance(result, Failure):
            if result.check(HungUp, Taken):
                return  # gone, or only its session is: that it came home, or ended, is told apart
            log.error("{leg} cannot be in a conference: {why}", leg=self.leg, why=result.getErrorMessage())
        self._over.ring()


class AsteriskConference:
    """Those who are in a room, or on their way there, until the first of them has left."""

    def __init__(self, room: str, attendances: Sequence[Attendance], send: Callable[[Action], Awaitable[object]]) -> None:
        """``send`` sends an action over AMI."""
        self.room = room
        self.attendances = attendances
        self._send = send
        self._left: AsteriskChannel | None = None
        self._leaving = Bell()
        for attendance in attendances:
            attendance.when_over().addCallback(self._leaves, attendance.leg)

    def _leaves(self, _: None, leg: AsteriskChannel) -> None:
        if self._left is None:
            self._left = leg
            self._leaving.ring()

    # easycall.ports.Conference

    async def over(self) -> Channel:
        """Wait until one of them is not in it any more; the one who left first."""
        await self._leaving.wait()
        assert self._left is not None  # noqa: S101 - for the type checker: the bell rings after it is set
        return self._left

    def without(self, *channels: Channel) -> AsteriskConference:
        """The others."""
        others = [one for one in self.attendances if not any(one.leg is channel for channel in channels)]
        return AsteriskConference(self.room, others, self._send)

    async def mute(self, channel: Channel, muted: bool) -> None:
        """Mute or unmute one of them.  Raises ActionFailed."""
        # The action knows channels by name only.
        name = next((one.leg.name for one in self.attendances if one.leg is channel), "")
        try:
            await self._send(
                Action.of("ConfbridgeMute" if muted else "ConfbridgeUnmute", Conference=self.room, Channel=name)
            )
        except AmiError as refusal:
            raise ActionFailed(str(refusal)) from None
