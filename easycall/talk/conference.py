"""Customer, agent and the one who was consulted, of ours or outside, in one conference, until one of the three leaves it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from easycall.defer import first, start
from easycall.events import ConferenceEnded, ConferenceStarted, PartyMuted
from easycall.mailbox import Letter
from easycall.model import OfferOutcome, Party, Stage
from easycall.ports import ActionFailed, BridgeFailed, Channel, Conference, HungUp
from easycall.talk.keys import play_digits
from easycall.verbs import Cancel, Complete, Drop, Mute, NotNow, SendDigits, Verb

if TYPE_CHECKING:
    from easycall.outbound.outsider import Outsider
    from easycall.talk.consultation import Consultation
    from easycall.talk.ringing import Side
    from easycall.talk.talk import StageOfTalk, Talk

__all__ = ["Meeting", "meet"]


async def meet(talk: Talk, consultation: Consultation, second: Side | Outsider) -> Meeting:
    """Put the three together.

    Raises NotNow when that fails though all are there, with those who talked before together again; HungUp and BridgeFailed
    when one is gone, with the others at home.
    """
    live = talk.live
    meeting = Meeting(talk, consultation, second)
    try:
        await live.switch.fetch(*meeting.legs)
        meeting.room = await live.switch.confer(second.leg.id, *meeting.legs)  # a leg rung for this talk: nobody else's name
    except (HungUp, BridgeFailed) as why:
        await meeting.break_up()
        if any(leg.gone for leg in meeting.legs):
            raise
        partner = second.leg if live.contact.stage is Stage.CONSULTING else live.customer
        talk.conversation = await live.switch.bridge(talk.side.leg, partner)
        raise NotNow(f"the conference could not be made: {why}") from None
    if live.contact.stage is Stage.CONSULTING:
        talk.side.assignment.retrieves()
    live.tell(ConferenceStarted, talk.side.agent, to=second.name)
    return meeting


class Meeting:
    """One conference."""

    room: Conference

    def __init__(self, talk: Talk, consultation: Consultation, second: Side | Outsider) -> None:
        self._talk = talk
        self._live = talk.live
        self._consultation = consultation
        self._second = second

    @property
    def legs(self) -> tuple[Channel, Channel, Channel]:
        """Those of the customer, the agent and the second one."""
        return self._live.customer, self._talk.side.leg, self._second.leg

    async def break_up(self) -> None:
        """Everybody who is there comes home."""
        for leg in self.legs:
            with suppress(HungUp, BridgeFailed):
                await self._live.switch.fetch(leg)

    # Stages

    async def conference(self) -> StageOfTalk | None:
        """The three talk."""
        self._talk.at(Stage.CONFERENCE)
        news = await self._live.news(start(self.room.left()))
        if isinstance(news, Letter):
            return await self._talk.answer(
                news,
                self.conference,
                {
                    Mute: self._mute,
                    Drop: self._drop,
                    Cancel: self._drop_second,
                    Complete: self._drop_first,
                    SendDigits: self._send_digits,
                },
            )
        left = await self.room.left()
        if left is self._second.leg:
            return self._without_second
        if left is self._talk.side.leg:
            return self._without_first
        await self.break_up()
        return self._talk.rescue

    async def _without_second(self) -> StageOfTalk | None:
        """Customer and agent go on."""
        await self._pair(self._talk.side.leg)
        self._talk.conversation = await self._live.switch.bridge(self._live.customer, self._talk.side.leg)
        self._live.tell(ConferenceEnded, self._talk.side.agent, left=Party.CONSULTED)
        self._consultation.end(OfferOutcome.ANSWERED)
        return self._talk.talking

    async def _without_first(self) -> StageOfTalk | None:
        """Customer and second one go on: another agent has the contact then, or nobody of ours."""
        await self._pair(self._second.leg)
        self._live.tell(ConferenceEnded, self._talk.side.agent, left=Party.AGENT)
        return self._consultation.hand_over

    async def _pair(self, leg: Channel) -> None:
        """The customer and one of the others leave the conference, to be joined."""
        try:
            await self._live.switch.fetch(self._live.customer, leg)
        except (HungUp, BridgeFailed):
            await self.break_up()
            raise

    # Verbs

    async def _mute(self, verb: Mute) -> StageOfTalk:
        leg = dict(zip(Party, self.legs, strict=True))[verb.party]
        try:
            await self.room.mute(leg, verb.muted)
        except ActionFailed as why:
            raise NotNow(f"{verb.party.value} cannot be muted: {why}") from None
        self._live.tell(PartyMuted, self._talk.side.agent, party=verb.party, muted=verb.muted)
        return self.conference

    async def _drop(self, verb: Drop) -> StageOfTalk:
        if verb.party is Party.CUSTOMER:
            raise NotNow("without the customer there is no contact: hangup ends it")
        return await (self._drop_first if verb.party is Party.AGENT else self._drop_second)(verb)

    async def _drop_first(self, verb: Verb) -> StageOfTalk:
        return await self._without_first() or self._talk.left_alone

    async def _drop_second(self, verb: Verb) -> StageOfTalk:
        return await self._without_second() or self._talk.left_alone

    async def _send_digits(self, verb: SendDigits) -> StageOfTalk:
        if await first(start(play_digits(self._talk, verb)), start(self.room.left())) == 1:
            raise NotNow("one of the conference has left meanwhile; some of the keys were sent")
        return self.conference
