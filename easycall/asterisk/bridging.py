"""Joining legs: two by AMI's Bridge, any number in a conference."""

from __future__ import annotations

from collections.abc import Sequence, Set
from contextlib import suppress

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from easycall.asterisk.ami import Action
from easycall.asterisk.channel import AsteriskChannel, Place
from easycall.asterisk.conference import AsteriskConference, Attendance
from easycall.asterisk.control import NEWS_SECONDS, Control
from easycall.asterisk.conversation import AsteriskConversation
from easycall.asterisk.fetch import ARRIVAL_SECONDS, Fetch
from easycall.asterisk.link import ActionTimeout, AmiError, LinkDown, LinkLost
from easycall.asterisk.reconciliation import Reconciliation
from easycall.asterisk.roster import Roster
from easycall.defer import first, limited, shielded, start
from easycall.ports import BridgeFailed, Channel, HungUp

__all__ = ["Bridging"]

LOOKS = 5
"""How often legs are looked for that are not shown where they were sent: on a busy Asterisk they may come late."""


class Bridging:
    """Joins the legs of one Asterisk.

    Whoever reconciles in here does it shielded: a caller found gone cancels the story that waits for the bridge.
    """

    def __init__(
        self, legs: Roster, control: Control, reconciliation: Reconciliation, fetch: Fetch, clock: IReactorTime
    ) -> None:
        self._legs = legs
        self._control = control
        self._reconciliation = reconciliation
        self._fetch = fetch
        self._clock = clock

    async def bridge(self, one: Channel, other: Channel) -> AsteriskConversation:
        """Join two legs that are at home; an answer lost with the link is looked up, not sent twice blindly."""
        legs = self._legs.own(one), self._legs.own(other)
        try:
            return await self._join(*legs)
        except BridgeFailed:
            for leg in legs:
                leg.taking = False
            await self._find_out_who_is_gone(*legs)
            raise

    async def _find_out_who_is_gone(self, one: AsteriskChannel, other: AsteriskChannel) -> None:
        """After a refusal: wait for the news that one of them is gone, else look."""
        await first(deferLater(self._clock, NEWS_SECONDS), one.when_gone(), other.when_gone())
        if not (one.gone or other.gone):
            await shielded(self._reconciliation.reconcile(one, other))

    async def _join(self, one: AsteriskChannel, other: AsteriskChannel) -> AsteriskConversation:
        await self._unheard({leg.id for leg in (one, other) if leg.place is Place.AWAY})
        while True:
            await self._control.reachable(one, other)
            conversation = AsteriskConversation(one, other)
            if one.place is other.place is Place.AWAY and one.bridge and one.bridge == other.bridge:
                return conversation  # the answer that was lost said yes
            from_home = one.place is other.place is Place.HOME
            one.taking = other.taking = True
            try:
                await self._control.link.send(Action.of("Bridge", Channel1=one.name, Channel2=other.name, Tone="no"))
                return conversation if from_home else await self._meet(one, other)
            except LinkDown:
                await deferLater(self._clock, NEWS_SECONDS)  # we hear of its loss after those who send
            except LinkLost:
                continue
            except ActionTimeout:
                # A second Bridge of two who talk would part them for a moment.
                await shielded(self._reconciliation.reconcile(one, other))
            except AmiError as refusal:
                raise BridgeFailed(str(refusal)) from None

    async def _unheard(self, legs: Set[str]) -> None:
        """Take home who listens to legs that are about to move from one bridge straight into another.

        ChanSpy does not always bear that: it is stuck until the leg ends (docs/asterisk.rst).  Whoever listened comes back.
        """
        for leg in [leg for leg in self._legs if leg.listens_to in legs]:
            with suppress(BridgeFailed, HungUp):
                await self._fetch.home(leg)

    async def _meet(self, one: AsteriskChannel, other: AsteriskChannel) -> AsteriskConversation:
        """Wait until both are shown in one bridge.

        One that was in another bridge may have been on its way home from there: its coming home is no end of this one.
        """
        looks = LOOKS
        while not (one.bridge and one.bridge == other.bridge):
            if one.gone or other.gone:
                raise BridgeFailed("a leg is gone")
            news = first(one.when_joined(), other.when_joined(), one.when_gone(), other.when_gone())
            try:
                await limited(start(news), ARRIVAL_SECONDS, self._clock)
            except TimeoutError:
                await shielded(self._reconciliation.reconcile(one, other))
                looks -= 1
                if not looks and not (one.bridge and one.bridge == other.bridge):
                    raise BridgeFailed("they are not together") from None
        return AsteriskConversation(one, other)

    def together(self, one: Channel, other: Channel) -> AsteriskConversation | None:
        """Two legs that are in one bridge already, if they are."""
        legs = self._legs.get(one.id), self._legs.get(other.id)
        if legs[0] is None or legs[1] is None or not legs[0].bridge or legs[0].bridge != legs[1].bridge:
            return None
        return AsteriskConversation(legs[0], legs[1])

    def gathered(self, room: str, *channels: Channel) -> AsteriskConference | None:
        """Those of these legs who are in one conference already; None: there are not two of them."""
        legs = [leg for channel in channels if (leg := self._legs.get(channel.id)) is not None and leg.bridge]
        there = [leg for leg in legs if leg.bridge == legs[0].bridge]
        if len(there) < 2:
            return None
        return AsteriskConference(room, [Attendance(leg, room, there=True) for leg in there], self._control.link.send)

    async def confer(self, room: str, *channels: Channel) -> AsteriskConference:
        """Put legs into a conference, and wait until all are shown in it."""
        return await self.admit(AsteriskConference(room, (), self._control.link.send), *channels)

    async def admit(self, conference: AsteriskConference, *channels: Channel) -> AsteriskConference:
        """Put more legs into a conference, and wait until they are shown in it.

        One that comes home on its way is told once more: its way home before may have been told twice.
        """
        legs = [self._legs.own(channel) for channel in channels]
        await self._control.reachable(*legs)
        coming = [Attendance(leg, conference.room) for leg in legs]
        present = [attendance.leg for attendance in conference.attendances]
        looks, again = LOOKS, set[int]()
        while not _are_there(legs, present):
            leaving = [attendance.when_over() for attendance in coming]
            news = first(*leaving, *(leg.when_joined() for leg in legs))
            try:
                index = await limited(start(news), ARRIVAL_SECONDS, self._clock)
            except TimeoutError:
                await self._control.reachable(*legs)
                await shielded(self._reconciliation.reconcile(*legs))
                looks -= 1
                if not looks and not _are_there(legs, present):
                    raise BridgeFailed("they are not together") from None
                continue
            if index < len(leaving):
                if index in again or not legs[index].idle:
                    raise BridgeFailed("one of them is not in the conference")
                again.add(index)
                coming[index] = Attendance(legs[index], conference.room)
        return AsteriskConference(conference.room, [*conference.attendances, *coming], self._control.link.send)


def _are_there(coming: Sequence[AsteriskChannel], present: Sequence[AsteriskChannel]) -> bool:
    """Every leg that comes is shown in one bridge, with those who are present and have not left."""
    bridges = {leg.bridge for leg in coming}
    return "" not in bridges and len(bridges | {leg.bridge for leg in present if leg.bridge}) == 1
