"""The agent asks a second one, an agent or somebody outside: the customer hears music until with one of them again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from easycall.acd.wrapup import WrapUpRules
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

    def __init__(self, talk: Talk, second: Side | Outsider, *, told: bool = False) -> None:
        """``told``: it began before this process did."""
        self._talk = talk
        self._live = talk.live
        self.second = second
        """Who is asked."""
        self._live.contact.consulted = second.name
        if not told:
            self._live.tell(ConsultStarted, talk.side.agent, to=second.name, attempt=second.attempt)

    @property
    def name(self) -> str:
        """The second one's: an agent's id, or a number."""
        return self.second.name

    @property
    def talks(self) -> bool:
        """The second one is there to talk with."""
        return self.second.talks and not self.second.leg.gone

    def joined(self) -> None:
        """The second one talks with the agent now."""
        self.second.joined()
        self._live.tell(ConsultAnswered, self._talk.side.agent, to=self.name, attempt=self.second.attempt)

    def end(self, outcome: OfferOutcome) -> None:
        """The second one has nothing more to do with the contact."""
        self._talk.forget(self)
        self.tell_end(outcome)
        self.second.leave(outcome, WrapUpRules.of_consulted(self._talk.queue))

    def tell_end(self, outcome: OfferOutcome) -> None:
        """Tell that the consultation is over, though the second one may stay."""
        second = self.second
        ended = {"to": second.name, "attempt": second.attempt, "outcome": outcome}
        self._live.tell(ConsultEnded, self._talk.side.agent, **ended)

    # Stages

    async def calling(self) -> StageOfTalk | None:
        """The phone of the second one rings."""
        talk, second = self._talk, self.second
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
        if outcome is OfferOutcome.ANSWERED and not await self.join_agent():
            outcome = OfferOutcome.LOST
        if outcome is not OfferOutcome.ANSWERED:
            self.end(outcome)
            return talk.held
        self.joined()
        return self.consulting

    async def join_agent(self) -> bool:
        """Join the agent and the second one; False when that failed."""
        try:
            self._talk.conversation = await self._live.switch.bridge(self._talk.side.leg, self.second.leg)
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

    async def rejoined(self) -> StageOfTalk | None:
        """The second one had answered when the process before us ended, and was with nobody."""
        if await self.join_agent():
            return self.consulting
        self.end(OfferOutcome.LOST)
        return self._talk.held

    async def alternating(self) -> StageOfTalk | None:
        """The first agent is with the customer, the second one waits."""
        talk = self._talk
        talk.at(Stage.TALKING)
        async with talk.music(self.second.leg):
            news = await self._live.news(talk.over(), self.second.leg.when_gone())
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
            news = await self._live.news(start(self.second.answered()))
        if isinstance(news, Letter):
            return await talk.answer(news, self.following, {Answer: self._answer})
        outcome = await self.second.answered()
        if outcome is OfferOutcome.ANSWERED:
            return self.hand_over
        self.end(outcome)
        talk.back_to_queue(self.second.refusal)
        return None

    async def hand_over(self) -> StageOfTalk | None:
        """Customer and second one are joined, in one action: the customer is never alone."""
        talk, live, second = self._talk, self._live, self.second
        try:
            if (found := live.switch.together(live.customer, second.leg)) is None:
                if talk.side.leg.gone:
                    await second.leg.home()  # whom the first one left is on the way there
                found = await live.switch.bridge(live.customer, second.leg)
            talk.conversation = found
        except (BridgeFailed, HungUp):
            if not second.leg.gone and not talk.side.leg.gone:
                raise
            self.end(OfferOutcome.LOST)
            return talk.left_alone if talk.side.leg.gone else talk.held
        if isinstance(second, Outsider):
            return self._leave_to(second)
        if not second.talks:
            second.joined()
        self.take_lead()
        return talk.talking

    def take_lead(self) -> None:
        """The second one, an agent who is with the customer, has the contact from now."""
        talk, live, second = self._talk, self._live, self.second
        assert isinstance(second, Side)  # noqa: S101 - for the type checker: of those outside nobody has a contact
        # The second agent's talk is told before the end of the first one's: there is no moment without an agent.
        live.tell(Answered, second.agent, queue=talk.queue.id, waited=live.now() - talk.since, leg=second.leg.id)
        live.tell(Transferred, talk.side.agent, target="agent", to=second.agent)
        self.tell_end(OfferOutcome.ANSWERED)
        talk.part(EndedBy.AGENT)
        talk.side, talk.handed_over = second, live.now()
        live.contact.agent = second.agent
        talk.forget(self)

    def _leave_to(self, outsider: Outsider) -> StageOfTalk:
        """Customer and somebody outside are together: no agent has the contact any more."""
        talk = self._talk
        self._live.tell(Transferred, talk.side.agent, target="number", to=outsider.number)
        self.tell_end(OfferOutcome.ANSWERED)
        talk.forget(self)
        self._live.at(Stage.OUTSIDE)
        return talk.goes_on(Outside(outsider, talk.conversation, talk.queue.id))

    # Verbs

    async def _call_off(self, verb: Verb) -> StageOfTalk:
        """While the second phone rings: no need any more."""
        self.end(OfferOutcome.CANCELLED)
        return await self._talk.retrieve(verb)

    def answer_here(self) -> None:
        """The second agent answers on the desktop.  Raises NotNow."""
        if isinstance(self.second, Outsider):
            raise NotNow("the telephone rings outside")
        self.second.answer()

    async def _answer(self, verb: Answer) -> StageOfTalk:
        self.answer_here()
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
        talk.conversation = await self._live.switch.bridge(talk.side.leg, self.second.leg)
        talk.side.assignment.holds()
        self._live.tell(Held, talk.side.agent)
        return self.consulting

    async def _merge(self, verb: Merge) -> StageOfTalk:
        return (await meet(self._talk, self)).conference

    async def _send_digits(self, verb: SendDigits) -> StageOfTalk:
        await send_digits(self._talk, verb)
        return self.alternating

    async def _drop(self, verb: Verb) -> StageOfTalk:
        self.end(OfferOutcome.ANSWERED)
        return self._talk.talking
