"""The agent leaves a conference for a while to ask one more, an agent or somebody outside; customer and guests talk on.

=============  =====================================================================================
stage          who is where
=============  =====================================================================================
calling        the phone of the one who is asked rings; the agent hears music
consulting     the agent and the one who is asked in a bridge of their own
alternating    the agent is in the conference; the one who is asked hears music
=============  =====================================================================================

When the last guest leaves meanwhile, it goes on as a consultation, and the customer hears music.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from easycall.defer import start
from easycall.events import ConferenceJoined
from easycall.mailbox import Letter
from easycall.model import OfferOutcome, Stage
from easycall.outbound.outsider import Outsider
from easycall.talk import second
from easycall.verbs import Alternate, Answer, Cancel, Complete, Consult, Merge, NotNow, Retrieve, SendDigits, Verb

if TYPE_CHECKING:
    from easycall.talk.conference import Meeting
    from easycall.talk.consultation import Consultation
    from easycall.talk.talk import Do, StageOfTalk, Talk

__all__ = ["Aside", "step_aside"]


async def step_aside(talk: Talk, meeting: Meeting, verb: Consult) -> Aside:
    """Ring who is asked; the agent has left the others then.

    Raises NotNow, with the agent among them again; HungUp, BridgeFailed.
    """
    live, leg = talk.live, talk.side.leg
    asked = second.reserve(talk, verb)
    try:
        meeting.room = meeting.room.without(leg)
        await live.switch.fetch(leg)
        talk.side.assignment.holds()
        live.at(Stage.ASIDE)
        await live.switch.when_up()  # the agent may have come home without it
        return Aside(talk, meeting, talk.ask(asked))
    except BaseException as why:
        second.give_back(asked)
        if isinstance(why, NotNow):
            await meeting.take_back()
        raise


class Aside:
    """One question to one more, whose phone is rung already."""

    def __init__(self, talk: Talk, meeting: Meeting, question: Consultation) -> None:
        self._talk = talk
        self._live = talk.live
        self._meeting = meeting
        self._question = question
        self._asked = question.second

    # Stages

    async def calling(self) -> StageOfTalk | None:
        """The phone of the one who is asked rings."""
        talk, meeting, asked = self._talk, self._meeting, self._asked
        self._at_aside()
        async with talk.music(talk.side.leg):
            news = await self._live.news(start(asked.answered()), talk.side.leg.when_gone(), start(meeting.room.over()))
        if isinstance(news, Letter):
            verbs: Mapping[type[Verb], Do] = {Cancel: self._call_off, Retrieve: self._call_off, Answer: self._answer}
            return await talk.answer(news, self.calling, verbs)
        if news == 1:
            return meeting.without_agent
        if news == 2:
            return await self._loses(self.calling, self._question.calling)
        outcome = await asked.answered()
        if outcome is OfferOutcome.ANSWERED and not await self._question.join_agent():
            outcome = OfferOutcome.LOST
        if outcome is not OfferOutcome.ANSWERED:
            return await self._return(outcome)
        self._question.joined()
        return self.consulting

    async def consulting(self) -> StageOfTalk | None:
        """The agent and the one who is asked talk."""
        talk = self._talk
        self._at_aside()
        news = await self._live.news(talk.over(), start(self._meeting.room.over()))
        if isinstance(news, Letter):
            verbs: Mapping[type[Verb], Do] = {
                Cancel: self._call_off,
                Retrieve: self._call_off,
                Alternate: self._to_conference,
                Merge: self._merge,
                Complete: self._complete,
            }
            return await talk.answer(news, self.consulting, verbs)
        if news == 1:
            return await self._loses(self.consulting, self._question.consulting)
        if await talk.conversation.over() is talk.side.leg:
            return self._meeting.without_agent
        return await self._return(OfferOutcome.ANSWERED)

    async def alternating(self) -> StageOfTalk | None:
        """The agent is in the conference; the one who is asked waits."""
        talk, meeting = self._talk, self._meeting
        talk.at(Stage.CONFERENCE)
        async with talk.music(self._asked.leg):
            news = await self._live.news(start(meeting.room.over()), self._asked.leg.when_gone())
        if isinstance(news, Letter):
            verbs: Mapping[type[Verb], Do] = {
                Cancel: self._drop,
                Retrieve: self._drop,
                Alternate: self._to_asked,
                Merge: self._merge,
                Complete: self._complete,
                SendDigits: self._send_digits,
            }
            return await talk.answer(news, self.alternating, verbs)
        if news == 1:
            self._question.end(OfferOutcome.ANSWERED)
            return meeting.conference
        if await meeting.room.over() is talk.side.leg:
            return meeting.without_agent
        return await self._loses(self.alternating, self._question.alternating)

    def _at_aside(self) -> None:
        """Whether somebody of ours is with the customer depends on who the guests are."""
        ours = any(not isinstance(guest.second, Outsider) for guest in self._meeting.guests)
        self._talk.at(Stage.ASIDE, ours=ours)

    async def _loses(self, again: StageOfTalk, alone: StageOfTalk) -> StageOfTalk:
        """Somebody has left the conference; ``alone``: what follows when no guest is left."""
        meeting = self._meeting
        guest = meeting.guest_at(await meeting.room.over())
        if guest is None:
            return meeting.dissolve
        if len(meeting.guests) > 1:
            meeting.release(guest)
            return again
        if self._live.contact.stage is Stage.ASIDE:
            await self._live.switch.fetch(self._live.customer)
            meeting.end(guest, held=True)
        else:
            await meeting.back_to_two(guest)
        return alone

    async def _return(self, outcome: OfferOutcome) -> StageOfTalk:
        """The question is over: the agent is with the others again."""
        self._question.end(outcome)
        await self._meeting.take_back()
        return self._meeting.conference

    # Verbs

    async def _call_off(self, verb: Verb) -> StageOfTalk:
        return await self._return(OfferOutcome.ANSWERED if self._asked.talks else OfferOutcome.CANCELLED)

    async def _drop(self, verb: Verb) -> StageOfTalk:
        self._question.end(OfferOutcome.ANSWERED)
        return self._meeting.conference

    async def _answer(self, verb: Answer) -> StageOfTalk:
        self._question.answer_here()
        return self.calling

    async def _to_conference(self, verb: Verb) -> StageOfTalk:
        await self._meeting.take_back()
        return self.alternating

    async def _to_asked(self, verb: Verb) -> StageOfTalk:
        talk, meeting = self._talk, self._meeting
        meeting.room = meeting.room.without(talk.side.leg)
        await self._live.switch.fetch(talk.side.leg)
        talk.conversation = await self._live.switch.bridge(talk.side.leg, self._asked.leg)
        talk.side.assignment.holds()
        return self.consulting

    async def _merge(self, verb: Verb) -> StageOfTalk:
        """All are in the conference."""
        if self._live.contact.stage is Stage.ASIDE:
            await self._meeting.take_back(self._asked.leg)
        else:
            await self._come_in()
        self._is_guest()
        return self._meeting.conference

    async def _complete(self, verb: Verb) -> StageOfTalk:
        """The one who is asked takes the agent's place among the others."""
        await self._come_in()
        self._is_guest()
        return await self._meeting.without_agent()

    async def _come_in(self) -> None:
        meeting, switch = self._meeting, self._live.switch
        await switch.fetch(self._asked.leg)
        meeting.room = await switch.admit(meeting.room, self._asked.leg)

    def _is_guest(self) -> None:
        """The one who is asked is one of the conference."""
        talk = self._talk
        self._meeting.guests.append(self._question)
        talk.consultation = None
        talk.name_others()
        self._live.tell(ConferenceJoined, talk.side.agent, to=self._question.name)

    async def _send_digits(self, verb: SendDigits) -> StageOfTalk:
        await self._meeting.play_digits(verb)
        return self.alternating
