"""The agent asks a second one, an agent or somebody outside: the customer hears music until with one of them again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from easycall.defer import start
from easycall.events import Answered, ConsultAnswered, ConsultEnded, ConsultStarted, Held, Transferred
from easycall.mailbox import Letter
from easycall.model import EndedBy, OfferOutcome, Stage
from easycall.outbound.outsider import Outsider
from easycall.ports import BridgeFailed, HungUp
from easycall.talk.conference import meet
from easycall.talk.course import Outside
from easycall.talk.keys import send_digits
from easycall.talk.ringing import Side
from easycall.verbs import Alternate, Answer, Cancel, Complete, Merge, NotNow, Retrieve, SendDigits, Verb

if TYPE_CHECKING:
    from easycall.talk.talk import Do, StageOfTalk, Talk

__all__ = ["Consultation"]


class Consultation:
    """One question to one second party, whose phone is rung already."""

    def __init__(self, talk: Talk, second: Side | Outsider) -> None:
        self._talk = talk
        self._live = talk.live
        self._second = second
        self._live.contact.consulted = second.name
        self._live.tell(ConsultStarted, talk.side.agent, to=second.name, attempt=second.attempt)

    @property
    def talks(self) -> bool:
        """The second one is there to talk with."""
        return self._second.talks and not self._second.leg.gone

    def end(self, outcome: OfferOutcome) -> None:
        """The second one has nothing more to do with the contact."""
        self._talk.consultation = None
        self._live.contact.consulted = ""
        self._tell_end(outcome)
        self._second.leave(outcome, self._talk.queue.wrap_up_seconds)

    def _tell_end(self, outcome: OfferOutcome) -> None:
        second = self._second
        ended = {"to": second.name, "attempt": second.attempt, "outcome": outcome}
        self._live.tell(ConsultEnded, self._talk.side.agent, **ended)

    # Stages

    async def calling(self) -> StageOfTalk | None:
        """The phone of the second one rings."""
        talk, second = self._talk, self._second
        talk.at(Stage.CONSULTING)
        async with talk.music(self._live.customer, talk.side.leg):
            news = await self._live.news(start(second.answered()), talk.side.leg.when_gone())
        if isinstance(news, Letter):
            verbs: Mapping[type[Verb], Do] = {
                Cancel: self._call_off,
                Retrieve: self._call_off,
                Complete: self._leave_ringing,
                Answer: self._answer,
            }
            return await talk.answer(news, self.calling, verbs)
        if news == 1:
            talk.part(EndedBy.AGENT)
            return self.following
        outcome = await second.answered()
        if outcome is OfferOutcome.ANSWERED and not await self._join_agents():
            outcome = OfferOutcome.LOST
        if outcome is not OfferOutcome.ANSWERED:
            self.end(outcome)
            return talk.held
        second.joined()
        self._live.tell(ConsultAnswered, talk.side.agent, to=second.name, attempt=second.attempt)
        return self.consulting

    async def _join_agents(self) -> bool:
        try:
            self._talk.conversation = await self._live.switch.bridge(self._talk.side.leg, self._second.leg)
        except BridgeFailed:
            return False
        return True

    async def consulting(self) -> StageOfTalk | None:
        """The agent and the second one talk."""
        talk = self._talk
        talk.at(Stage.CONSULTING)
        async with talk.music(self._live.customer):
            news = await self._live.news(talk.over())
        if isinstance(news, Letter):
            verbs: Mapping[type[Verb], Do] = {
                Cancel: self._reconnect,
                Retrieve: self._reconnect,
                Complete: self._complete,
                Alternate: self._to_customer,
                Merge: self._merge,
            }
            return await talk.answer(news, self.consulting, verbs)
        if await talk.conversation.over() is talk.side.leg:
            return self.hand_over
        self.end(OfferOutcome.ANSWERED)
        return talk.held

    async def alternating(self) -> StageOfTalk | None:
        """The first agent is with the customer, the second one waits."""
        talk = self._talk
        talk.at(Stage.TALKING)
        async with talk.music(self._second.leg):
            news = await self._live.news(talk.over(), self._second.leg.when_gone())
        if isinstance(news, Letter):
            verbs: Mapping[type[Verb], Do] = {
                Cancel: self._drop,
                Retrieve: self._drop,
                Complete: self._complete,
                Alternate: self._to_second,
                Merge: self._merge,
                SendDigits: self._send_digits,
            }
            return await talk.answer(news, self.alternating, verbs)
        if news == 1:
            self.end(OfferOutcome.ANSWERED)
            return talk.talking
        return self.hand_over if await talk.conversation.over() is talk.side.leg else None

    async def following(self) -> StageOfTalk | None:
        """The first agent is gone; who is rung gets the customer, or the customer waits first in line."""
        talk = self._talk
        talk.at(Stage.OFFERED)
        async with talk.music(self._live.customer):
            news = await self._live.news(start(self._second.answered()))
        if isinstance(news, Letter):
            return await talk.answer(news, self.following, {Answer: self._answer})
        outcome = await self._second.answered()
        if outcome is OfferOutcome.ANSWERED:
            return self.hand_over
        self.end(outcome)
        talk.back_to_queue(self._second.refusal)
        return None

    async def hand_over(self) -> StageOfTalk | None:
        """Customer and second one are joined, in one action: the customer is never alone."""
        talk, live, second = self._talk, self._live, self._second
        try:
            if talk.side.leg.gone:
                await second.leg.home()  # whom the first one left is on the way there
            talk.conversation = await live.switch.bridge(live.customer, second.leg)
        except (BridgeFailed, HungUp):
            if not second.leg.gone and not talk.side.leg.gone:
                raise
            self.end(OfferOutcome.LOST)
            return talk.left_alone if talk.side.leg.gone else talk.held
        if isinstance(second, Outsider):
            return self._leave_to(second)
        first = talk.side
        if not second.talks:
            second.joined()
        # The second agent's talk is told before the end of the first one's: there is no moment without an agent.
        live.tell(Answered, second.agent, queue=talk.queue.id, waited=live.now() - talk.since)
        live.tell(Transferred, first.agent, target="agent", to=second.agent)
        self._tell_end(OfferOutcome.ANSWERED)
        talk.part(EndedBy.AGENT)
        talk.side, talk.consultation, talk.handed_over = second, None, live.now()
        live.contact.agent, live.contact.consulted = second.agent, ""
        return talk.talking

    def _leave_to(self, outsider: Outsider) -> StageOfTalk:
        """Customer and somebody outside are together: no agent has the contact any more."""
        talk = self._talk
        self._live.tell(Transferred, talk.side.agent, target="number", to=outsider.number)
        self._tell_end(OfferOutcome.ANSWERED)
        talk.consultation = None
        self._live.at(Stage.OUTSIDE)
        return talk.goes_on(Outside(outsider, talk.conversation, talk.queue.id))

    # Verbs

    async def _call_off(self, verb: Verb) -> StageOfTalk:
        """While the second phone rings: no need any more."""
        self.end(OfferOutcome.CANCELLED)
        return await self._talk.retrieve(verb)

    async def _answer(self, verb: Answer) -> StageOfTalk:
        """The second agent answers on the desktop."""
        if isinstance(self._second, Outsider):
            raise NotNow("the telephone rings outside")
        self._second.answer()
        return self.following if self._talk.side.over else self.calling

    async def _leave_ringing(self, verb: Verb) -> StageOfTalk:
        """While the second phone rings: the first agent leaves it to the customer."""
        self._talk.part(EndedBy.AGENT)
        return self.following

    async def _complete(self, verb: Verb) -> StageOfTalk:
        return await self.hand_over() or self._talk.left_alone

    async def _reconnect(self, verb: Verb) -> StageOfTalk:
        """The first agent takes the customer back; the second is free."""
        await self._talk.rejoin()
        self.end(OfferOutcome.ANSWERED)
        return self._talk.talking

    async def _to_customer(self, verb: Verb) -> StageOfTalk:
        await self._talk.rejoin()
        return self.alternating

    async def _to_second(self, verb: Verb) -> StageOfTalk:
        talk = self._talk
        talk.conversation = await self._live.switch.bridge(talk.side.leg, self._second.leg)
        talk.side.assignment.holds()
        self._live.tell(Held, talk.side.agent)
        return self.consulting

    async def _merge(self, verb: Merge) -> StageOfTalk:
        if isinstance(self._second, Outsider):
            raise NotNow("somebody outside cannot be brought into a conference")
        return (await meet(self._talk, self, self._second)).conference

    async def _send_digits(self, verb: SendDigits) -> StageOfTalk:
        await send_digits(self._talk, verb)
        return self.alternating

    async def _drop(self, verb: Verb) -> StageOfTalk:
        self.end(OfferOutcome.ANSWERED)
        return self._talk.talking
