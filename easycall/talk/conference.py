"""Customer, agent and those who were consulted, of ours or outside, in one conference, until two are left.

The agent may ask one more from within it (:mod:`easycall.talk.aside`).  When the agent leaves, the first agent among the
others has the contact, and the customer stays with whoever is there.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from easycall.defer import first, start
from easycall.events import ConferenceEnded, ConferenceLeft, ConferenceStarted, PartyMuted, Transferred
from easycall.mailbox import Letter
from easycall.model import OfferOutcome, Party, Stage
from easycall.outbound.outsider import Outsider
from easycall.ports import ActionFailed, BridgeFailed, Channel, Conference, HungUp
from easycall.talk.aside import step_aside
from easycall.talk.course import OutsideConference
from easycall.talk.keys import play_digits
from easycall.verbs import Cancel, Complete, Consult, Drop, Mute, NotNow, SendDigits, Verb

if TYPE_CHECKING:
    from easycall.talk.consultation import Consultation
    from easycall.talk.talk import StageOfTalk, Talk

__all__ = ["PARTIES", "Meeting", "meet"]

PARTIES = 8
"""So many may be in one conference, the customer and the agent among them."""


async def meet(talk: Talk, consultation: Consultation) -> Meeting:
    """Put the three together.

    Raises NotNow when that fails though all are there, with those who talked before together again; HungUp and BridgeFailed
    when one is gone, with the others at home.
    """
    live, second = talk.live, consultation.second
    meeting = Meeting(talk, consultation)
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
    talk.consultation, talk.meeting = None, meeting
    talk.name_others()
    live.tell(ConferenceStarted, talk.side.agent, to=second.name)
    return meeting


class Meeting:
    """One conference."""

    room: Conference
    """Those who are in it now."""

    def __init__(self, talk: Talk, *guests: Consultation) -> None:
        self._talk = talk
        self._live = talk.live
        self.guests = [*guests]
        """Who was consulted and then brought in, in that order."""

    @property
    def legs(self) -> tuple[Channel, ...]:
        """Those of the customer, the agent and the guests."""
        return self._live.customer, self._talk.side.leg, *(guest.second.leg for guest in self.guests)

    async def break_up(self) -> None:
        """Everybody who is there comes home."""
        for leg in self.legs:
            with suppress(HungUp, BridgeFailed):
                await self._live.switch.fetch(leg)

    # Stages

    async def conference(self) -> StageOfTalk | None:
        """They talk."""
        self._talk.at(Stage.CONFERENCE)
        news = await self._live.news(start(self.room.over()))
        if isinstance(news, Letter):
            return await self._talk.answer(
                news,
                self.conference,
                {
                    Mute: self._mute,
                    Drop: self._drop,
                    Cancel: self._drop_guest,
                    Complete: self._drop_agent,
                    Consult: self._consult,
                    SendDigits: self._send_digits,
                },
            )
        left = await self.room.over()
        if left is self._talk.side.leg:
            return self.without_agent
        guest = self.guest_at(left)
        return await self._without(guest) if guest is not None else self.dissolve

    async def regained(self) -> StageOfTalk | None:
        """They talked when the process before us ended; who was not yet in it, or not any more, comes in again."""
        switch, customer = self._live.switch, self._live.customer
        for guest in [guest for guest in self.guests if guest.second.leg.gone]:
            if len(self.guests) == 1:
                return await self._without(guest) if not self._talk.side.leg.gone else self.dissolve
            self.release(guest)
        if self._talk.side.leg.gone:
            return self.without_agent
        outside = [leg for leg in self.legs[1:] if switch.together(customer, leg) is None]
        if outside:
            await switch.fetch(*outside)
            self.room = await switch.admit(self.room, *outside)
        return self.conference

    async def without_agent(self) -> StageOfTalk:
        """The agent leaves, or has left: somebody else has the customer."""
        talk, question = self._talk, self._talk.consultation
        if question is not None:
            question.end(OfferOutcome.ANSWERED if question.second.talks else OfferOutcome.CANCELLED)
        self.room = self.room.without(talk.side.leg)
        if len(self.guests) == 1:
            [guest] = self.guests
            await self._pair(guest.second.leg)
            self._live.tell(ConferenceEnded, talk.side.agent, left=Party.AGENT)
            talk.consultation, talk.meeting = guest, None
            return guest.hand_over
        agent = talk.side.agent
        self._live.tell(ConferenceLeft, agent, party=Party.AGENT, who=agent)
        heir = next((guest for guest in self.guests if not isinstance(guest.second, Outsider)), None)
        if heir is None:
            return self._leave_outside()
        self.guests.remove(heir)
        heir.take_lead()
        self._live.tell(ConferenceStarted, talk.side.agent, to=self.guests[0].name)
        return self.conference

    def _leave_outside(self) -> StageOfTalk:
        """Only people outside are with the customer: no agent has the contact any more."""
        talk, live = self._talk, self._live
        outsiders = [guest.second for guest in self.guests if isinstance(guest.second, Outsider)]
        for guest in self.guests:
            live.tell(Transferred, talk.side.agent, target="number", to=guest.name)
            guest.tell_end(OfferOutcome.ANSWERED)
        talk.meeting = None
        live.at(Stage.OUTSIDE)
        return talk.goes_on(OutsideConference(tuple(outsiders), self.room, talk.queue.id))

    async def dissolve(self) -> StageOfTalk:
        """It cannot be kept up: one of ours keeps the customer."""
        await self.break_up()
        talk = self._talk
        if talk.consultation is None:
            talk.consultation = next((guest for guest in self.guests if guest.talks), None)
        talk.meeting = None
        for guest in self.guests:
            if guest is not talk.consultation:
                guest.end(OfferOutcome.LOST)
        talk.name_others()
        return talk.rescue

    async def rescue(self) -> StageOfTalk:
        """Somebody was lost on the way into it or out of it: whoever is there goes on."""
        talk = self._talk
        for guest in [guest for guest in self.guests if not guest.talks]:
            self.room = self.room.without(guest.second.leg)
            guest.end(OfferOutcome.LOST)
        if not self.guests:
            return self.dissolve
        if talk.side.over or talk.side.leg.gone:
            return self.without_agent
        if talk.consultation is not None:
            talk.consultation.end(OfferOutcome.LOST)
        try:
            await self.take_back()
        except (HungUp, BridgeFailed):
            return self.dissolve
        return self.conference

    # Coming and going

    def guest_at(self, leg: Channel) -> Consultation | None:
        """The guest on that leg; None: it is another one's."""
        return next((guest for guest in self.guests if guest.second.leg is leg), None)

    def release(self, guest: Consultation) -> None:
        """One of several guests leaves: the others go on."""
        self.room = self.room.without(guest.second.leg)
        agent = self._talk.side.agent
        self._live.tell(ConferenceLeft, agent, party=Party.CONSULTED, who=guest.name)
        guest.end(OfferOutcome.ANSWERED)

    async def take_back(self, *others: Channel) -> None:
        """The agent, who was aside, is in it again, and others come along.  Raises HungUp, BridgeFailed."""
        leg = self._talk.side.leg
        self.room = self.room.without(leg)
        await self._live.switch.fetch(leg, *others)
        self.room = await self._live.switch.admit(self.room, leg, *others)
        if self._live.contact.stage is Stage.ASIDE:
            self._talk.side.assignment.retrieves()

    async def back_to_two(self, guest: Consultation) -> None:
        """The last guest leaves: customer and agent go on.  Raises HungUp, BridgeFailed."""
        await self._pair(self._talk.side.leg)
        self._talk.conversation = await self._live.switch.bridge(self._live.customer, self._talk.side.leg)
        self.end(guest)

    def end(self, guest: Consultation, *, held: bool = False) -> None:
        """There is none any more, the last guest has left; ``held``: the customer hears music."""
        guest.end(OfferOutcome.ANSWERED)
        self._live.tell(ConferenceEnded, self._talk.side.agent, left=Party.CONSULTED, held=held)
        self._talk.meeting = None

    async def _pair(self, leg: Channel) -> None:
        """The customer and one of the others leave the conference, to be joined."""
        try:
            await self._live.switch.fetch(self._live.customer, leg)
        except (HungUp, BridgeFailed):
            await self.break_up()
            raise

    async def _without(self, guest: Consultation) -> StageOfTalk:
        if len(self.guests) > 1:
            self.release(guest)
            return self.conference
        await self.back_to_two(guest)
        return self._talk.talking

    # Verbs

    def _named(self, who: str) -> Consultation:
        """The guest of that name; without one, the only guest.  Raises NotNow."""
        if not who and len(self.guests) == 1:
            return self.guests[0]
        for guest in self.guests:
            if guest.name == who:
                return guest
        raise NotNow(f"say who: {', '.join(guest.name for guest in self.guests)}")

    async def _mute(self, verb: Mute) -> StageOfTalk:
        who = verb.who
        match verb.party:
            case Party.CUSTOMER:
                leg = self._live.customer
            case Party.AGENT:
                leg = self._talk.side.leg
            case Party.CONSULTED:
                guest = self._named(verb.who)
                leg, who = guest.second.leg, guest.name
        try:
            await self.room.mute(leg, verb.muted)
        except ActionFailed as why:
            raise NotNow(f"{verb.party.value} cannot be muted: {why}") from None
        self._live.tell(PartyMuted, self._talk.side.agent, party=verb.party, muted=verb.muted, who=who)
        return self.conference

    async def _drop(self, verb: Drop) -> StageOfTalk:
        if verb.party is Party.CUSTOMER:
            raise NotNow("without the customer there is no contact: hangup ends it")
        return await (self._drop_agent(verb) if verb.party is Party.AGENT else self._without(self._named(verb.who)))

    async def _drop_agent(self, verb: Verb) -> StageOfTalk:
        return await self.without_agent()

    async def _drop_guest(self, verb: Verb) -> StageOfTalk:
        return await self._without(self._named(""))

    async def _consult(self, verb: Consult) -> StageOfTalk:
        if len(self.legs) >= PARTIES:
            raise NotNow(f"no more than {PARTIES} can be in a conference")
        return (await step_aside(self._talk, self, verb)).calling

    async def _send_digits(self, verb: SendDigits) -> StageOfTalk:
        await self.play_digits(verb)
        return self.conference

    async def play_digits(self, verb: SendDigits) -> None:
        """Send keys to the customer's line.  Raises NotNow."""
        if await first(start(play_digits(self._talk, verb)), start(self.room.over())) == 1:
            raise NotNow("one of the conference has left meanwhile; some of the keys were sent")
