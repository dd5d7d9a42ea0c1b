"""A customer and an agent together: from the first word until they part, with everything the agent may ask for between.

Each stage is a method that waits for news (a verb from the mailbox, a leg that left) and gives the next stage.  The customer
hanging up cancels the whole; the ``finally`` of :meth:`Talk.carry` frees every agent who is still held.

=============  =========================================================================================
stage          who is where
=============  =========================================================================================
talking        customer and agent in a bridge
held           the customer hears music, the agent waits
calling        the phone of a second agent rings; customer and agent hear music
consulting     the two agents in a bridge; the customer hears music
alternating    customer and agent in a bridge; the second agent hears music
following      the first agent has left; the second one's phone still rings, for the customer
lent           the customer walks a flow; the agent hears music
=============  =========================================================================================
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeAlias

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from easycall.acd.distributor import Assignment
from easycall.defer import Bell, background, cancelled, start
from easycall.events import (
    Answered,
    ConsultAnswered,
    ConsultEnded,
    ConsultStarted,
    DataAttached,
    Held,
    Lent,
    LoanEnded,
    Retrieved,
    TalkEnded,
    Transferred,
)
from easycall.ivr.runner import run
from easycall.live import LiveContact, attach, keep_music
from easycall.mailbox import Letter
from easycall.model import EndedBy, OfferOutcome, Queue, Stage
from easycall.ports import BridgeFailed, Channel, Conversation, HungUp
from easycall.ringing import Side, ring
from easycall.verbs import (
    Alternate,
    AttachData,
    Cancel,
    Complete,
    Consult,
    Hold,
    Lend,
    NotNow,
    Retrieve,
    ToAgent,
    ToFlow,
    ToQueue,
    Verb,
)

__all__ = ["GoOn", "Reach", "RunFlow", "Talk", "Wait"]


log = Logger()


@frozen
class RunFlow:
    """The contact goes on in a flow."""

    flow: str


@frozen
class Wait:
    """The contact goes on in a queue."""

    queue: str
    enqueued: float | None = None
    """When it joined, for its place in line; None: when it does, behind the others."""


@frozen
class Reach:
    """The contact goes on to one agent, who is reserved; if that comes to nothing, to the front of the queue."""

    assignment: Assignment
    queue: str
    by: str


GoOn: TypeAlias = RunFlow | Wait | Reach | None
"""What becomes of a contact next; None: it ends."""

StageOfTalk: TypeAlias = Callable[[], Awaitable["StageOfTalk | None"]]
Do: TypeAlias = Callable[[Letter], Awaitable[StageOfTalk]]

_LOST_WITH_THE_CALL = "the call ended meanwhile"


class Talk:
    """See the module.  ``conversation``: the bridge in which the two are."""

    def __init__(self, live: LiveContact, side: Side, conversation: Conversation, queue: Queue, since: float) -> None:
        """``since``: when the contact began to wait for this agent."""
        self._live = live
        self._side = side
        self._other: Side | None = None
        self._conversation = conversation
        self._queue = queue
        self._since = since
        self._walking: Deferred[None] | None = None
        self._walked = Bell()
        self._lent_to = ""
        self._next: GoOn = None
        self._carried_out: Letter | None = None
        self._left_by = EndedBy.CALLER

    async def carry(self) -> GoOn:
        """From the first word to the parting; what becomes of the contact then."""
        live = self._live
        self._side.joined()
        live.tell(Answered, self._side.agent, queue=self._queue.id, waited=live.now() - self._since)
        live.mailbox.open()
        stage: StageOfTalk | None = self._talking
        try:
            while stage is not None:
                try:
                    stage = await stage()
                except (HungUp, BridgeFailed):
                    stage = self._rescue
        finally:
            live.mailbox.close("the customer talks with nobody")
            self._free_all()
            await self._end_walk()
        return self._next

    def _free_all(self) -> None:
        if self._other is not None:
            self._end_consult(OfferOutcome.CALLER_LEFT)
        contact = self._live.contact
        if self._next is None:
            contact.ended_by = contact.ended_by or self._left_by
        self._part_from_first(contact.ended_by or self._left_by)

    # Stages

    async def _talking(self) -> StageOfTalk | None:
        self._at(Stage.TALKING)
        news = await self._news(self._over())
        if isinstance(news, Letter):
            return await self._answer(news, self._talking, self._giving_away | {Hold: self._hold, Consult: self._consult})
        self._left_by = EndedBy.AGENT if await self._conversation.over() is self._side.leg else EndedBy.CALLER
        return None

    async def _held(self) -> StageOfTalk | None:
        self._at(Stage.HELD)
        async with self._music(self._live.customer, self._side.leg):
            news = await self._news(self._side.leg.when_gone())
        if isinstance(news, Letter):
            verbs = self._giving_away | {Retrieve: self._retrieve, Consult: self._consult}
            return await self._answer(news, self._held, verbs)
        return self._left_alone

    async def _calling(self) -> StageOfTalk | None:
        self._at(Stage.CONSULTING)
        other = self._second
        async with self._music(self._live.customer, self._side.leg):
            answer = start(other.answered())
            news = await self._news(answer, self._side.leg.when_gone())
        if isinstance(news, Letter):
            back = {Cancel: self._call_off, Retrieve: self._call_off, Complete: self._leave_ringing}
            return await self._answer(news, self._calling, back)
        if news == 1:
            self._part_from_first(EndedBy.AGENT)
            return self._following
        outcome = await other.answered()
        if outcome is OfferOutcome.ANSWERED:
            try:
                self._conversation = await self._live.switch.bridge(self._side.leg, other.leg)
            except BridgeFailed:
                outcome = OfferOutcome.LOST
        if outcome is not OfferOutcome.ANSWERED:
            self._end_consult(outcome)
            return self._held
        other.joined()
        self._live.tell(ConsultAnswered, self._side.agent, to=other.agent, attempt=other.assignment.attempt)
        return self._consulting

    async def _consulting(self) -> StageOfTalk | None:
        self._at(Stage.CONSULTING)
        async with self._music(self._live.customer):
            news = await self._news(self._over())
        if isinstance(news, Letter):
            back = {Cancel: self._reconnect, Retrieve: self._reconnect}
            return await self._answer(
                news, self._consulting, back | {Complete: self._complete, Alternate: self._to_customer}
            )
        if await self._conversation.over() is self._side.leg:
            return await self._hand_over(EndedBy.AGENT)
        self._end_consult(OfferOutcome.ANSWERED)
        return self._held

    async def _alternating(self) -> StageOfTalk | None:
        self._at(Stage.TALKING)
        async with self._music(self._second.leg):
            news = await self._news(self._over(), self._second.leg.when_gone())
        if isinstance(news, Letter):
            back = {Cancel: self._drop_second, Retrieve: self._drop_second}
            return await self._answer(news, self._alternating, back | {Complete: self._complete, Alternate: self._to_second})
        if news == 1:
            self._end_consult(OfferOutcome.ANSWERED)
            return self._talking
        if await self._conversation.over() is self._side.leg:
            return await self._hand_over(EndedBy.AGENT)
        return None

    async def _following(self) -> StageOfTalk | None:
        """The first agent is gone; who is rung gets the customer, or the customer waits first in line."""
        self._at(Stage.OFFERED)
        other = self._second
        async with self._music(self._live.customer):
            news = await self._news(start(other.answered()))
        if isinstance(news, Letter):
            return await self._answer(news, self._following, {})
        outcome = await other.answered()
        if outcome is OfferOutcome.ANSWERED:
            return await self._hand_over(EndedBy.AGENT)
        self._end_consult(outcome)
        self._back_to_queue()
        return None

    async def _lent(self) -> StageOfTalk | None:
        self._at(Stage.LENT)
        async with self._music(self._side.leg):
            news = await self._news(self._walked.wait(), self._side.leg.when_gone())
        if isinstance(news, Letter):
            return await self._answer(news, self._lent, {Cancel: self._take_back, Retrieve: self._take_back})
        if news == 1:
            await self._walked.wait()
            return self._left_alone
        return await self._come_back("done")

    async def _left_alone(self) -> StageOfTalk | None:
        """The agent's leg is gone while the customer was on hold: the customer waits first in line, never hung up."""
        if self._other is not None:
            self._end_consult(OfferOutcome.LOST)
        self._part_from_first(EndedBy.AGENT)
        self._back_to_queue()
        return None

    async def _rescue(self) -> StageOfTalk | None:
        """Two could not be joined: whoever is there keeps the customer, who is never hung up for it."""
        if self._live.customer.gone:
            return None
        first, other = self._side, self._other
        if not first.over and not first.leg.gone:
            if other is not None:
                self._end_consult(OfferOutcome.LOST)
            if self._live.contact.stage is Stage.TALKING:
                first.assignment.holds()
                self._live.tell(Held, first.agent)
            await self._live.switch.fetch(self._live.customer, first.leg)
            return self._held
        if other is not None and not other.leg.gone and other.talks:
            return await self._hand_over(EndedBy.AGENT)
        return self._left_alone

    # Verbs

    @property
    def _giving_away(self) -> dict[type[Verb], Do]:
        """What can be done with a customer who talks or is on hold."""
        return {ToAgent: self._to_agent, ToQueue: self._to_queue, ToFlow: self._to_flow, Lend: self._lend}

    async def _answer(self, letter: Letter, stage: StageOfTalk, verbs: Mapping[type[Verb], Do]) -> StageOfTalk:
        """Carry a verb out; one that makes no sense now is refused and nothing changes."""
        verb = letter.verb
        try:
            if isinstance(verb, AttachData):
                attach(self._live.contact.data, verb.data)
                self._live.tell(DataAttached, self._side.agent, data=dict(verb.data))
                letter.done()
                return stage
            if type(verb) not in verbs:
                now = self._live.contact.stage.value
                raise NotNow(f"{type(verb).__name__} is not possible while the contact is {now}")
            following = await verbs[type(verb)](letter)
            self._carried_out = letter
            return following
        except NotNow as why:
            letter.refused(str(why))
            return stage
        except (HungUp, BridgeFailed):
            letter.refused("one of the legs is gone")
            return self._rescue
        finally:
            if self._carried_out is not letter:
                letter.refused(_LOST_WITH_THE_CALL)

    async def _hold(self, letter: Letter) -> StageOfTalk:
        await self._put_on_hold()
        return self._held

    async def _put_on_hold(self) -> None:
        if self._live.contact.stage is Stage.TALKING:
            await self._live.switch.fetch(self._live.customer, self._side.leg)
            self._side.assignment.holds()
            self._live.tell(Held, self._side.agent)

    async def _retrieve(self, letter: Letter) -> StageOfTalk:
        self._conversation = await self._live.switch.bridge(self._live.customer, self._side.leg)
        self._retrieved()
        return self._talking

    def _retrieved(self) -> None:
        self._side.assignment.retrieves()
        self._live.tell(Retrieved, self._side.agent)

    async def _consult(self, letter: Letter) -> StageOfTalk:
        verb = letter.verb
        assert isinstance(verb, Consult)  # noqa: S101 - for the type checker
        assignment = self._reserve(verb.agent)
        try:
            await self._put_on_hold()
            self._other = ring(self._live, assignment, self._queue, since=self._since, by=self._side.agent)
            self._live.contact.consulted = assignment.agent
        except BaseException as failure:
            assignment.ended(OfferOutcome.LOST)
            if isinstance(failure, ValueError):
                raise NotNow(str(failure)) from None
            raise
        self._live.tell(ConsultStarted, self._side.agent, to=assignment.agent, attempt=assignment.attempt)
        return self._calling

    def _reserve(self, agent: str) -> Assignment:
        contact = self._live.contact
        assignment = self._live.distributor.reserve(agent, contact.id, contact.attempts + 1)
        contact.attempts += 1
        return assignment

    async def _call_off(self, letter: Letter) -> StageOfTalk:
        """While the second phone rings: no need any more."""
        self._end_consult(OfferOutcome.CANCELLED)
        return await self._retrieve(letter)

    async def _leave_ringing(self, letter: Letter) -> StageOfTalk:
        """While the second phone rings: the first agent leaves it to the customer."""
        self._part_from_first(EndedBy.AGENT)
        return self._following

    async def _complete(self, letter: Letter) -> StageOfTalk:
        return await self._hand_over(EndedBy.AGENT)

    async def _hand_over(self, ended_by: EndedBy) -> StageOfTalk:
        """Customer and second agent are joined; in one action, so that the customer is never alone."""
        other = self._second
        try:
            if self._side.leg.gone:
                await other.leg.home()  # whom the first one left is on the way there
            conversation = await self._live.switch.bridge(self._live.customer, other.leg)
        except (BridgeFailed, HungUp):
            if not other.leg.gone and not self._side.leg.gone:
                raise
            self._end_consult(OfferOutcome.LOST)
            return self._left_alone if self._side.leg.gone else self._held
        self._conversation = conversation
        live, first = self._live, self._side
        if not other.talks:
            other.joined()
        # The second agent's talk is told before the end of the first one's: there is no moment without an agent.
        live.tell(Answered, other.agent, queue=self._queue.id, waited=live.now() - self._since)
        live.tell(Transferred, first.agent, target="agent", to=other.agent)
        live.tell(ConsultEnded, first.agent, to=other.agent, attempt=other.assignment.attempt, outcome=OfferOutcome.ANSWERED)
        self._part_from_first(ended_by)
        self._side, self._other = other, None
        live.contact.agent, live.contact.consulted = other.agent, ""
        return self._talking

    async def _reconnect(self, letter: Letter) -> StageOfTalk:
        """The first agent takes the customer back; the second is free."""
        self._conversation = await self._live.switch.bridge(self._live.customer, self._side.leg)
        self._end_consult(OfferOutcome.ANSWERED)
        self._retrieved()
        return self._talking

    async def _to_customer(self, letter: Letter) -> StageOfTalk:
        self._conversation = await self._live.switch.bridge(self._live.customer, self._side.leg)
        self._retrieved()
        return self._alternating

    async def _to_second(self, letter: Letter) -> StageOfTalk:
        self._conversation = await self._live.switch.bridge(self._side.leg, self._second.leg)
        self._side.assignment.holds()
        self._live.tell(Held, self._side.agent)
        return self._consulting

    async def _drop_second(self, letter: Letter) -> StageOfTalk:
        self._end_consult(OfferOutcome.ANSWERED)
        return self._talking

    async def _to_agent(self, letter: Letter) -> StageOfTalk:
        verb = letter.verb
        assert isinstance(verb, ToAgent)  # noqa: S101 - for the type checker
        assignment = self._reserve(verb.agent)
        first = self._side.agent
        try:
            await self._give_away("agent", verb.agent)
        except BaseException:
            assignment.ended(OfferOutcome.LOST)
            raise
        self._next = Reach(assignment, self._queue.id, first)
        return self._parted

    async def _to_queue(self, letter: Letter) -> StageOfTalk:
        verb = letter.verb
        assert isinstance(verb, ToQueue)  # noqa: S101 - for the type checker
        distributor = self._live.distributor
        if verb.queue not in distributor.queues:
            raise NotNow(f"there is no queue {verb.queue!r}")
        if not verb.wait and not distributor.someone_free(verb.queue):
            raise NotNow(f"nobody is free in {verb.queue}")
        await self._give_away("queue", verb.queue)
        self._next = Wait(verb.queue)
        return self._parted

    async def _to_flow(self, letter: Letter) -> StageOfTalk:
        verb = letter.verb
        assert isinstance(verb, ToFlow)  # noqa: S101 - for the type checker
        self._known_flow(verb.flow)
        await self._give_away("flow", verb.flow)
        self._next = RunFlow(verb.flow)
        return self._parted

    async def _parted(self) -> StageOfTalk | None:
        self._tell_done()
        return None

    async def _lend(self, letter: Letter) -> StageOfTalk:
        verb = letter.verb
        assert isinstance(verb, Lend)  # noqa: S101 - for the type checker
        self._known_flow(verb.flow)
        live = self._live
        await live.switch.fetch(live.customer, self._side.leg)
        if live.contact.stage is Stage.TALKING:
            self._side.assignment.holds()
        live.tell(Lent, self._side.agent, flow=verb.flow)
        self._lent_to, self._walked = verb.flow, Bell()
        self._walking = start(self._walk(self._walked))
        return self._lent

    async def _walk(self, walked: Bell) -> None:
        """The customer walks the flow; that it failed is no reason to lose the customer."""
        live = self._live
        try:
            flow = live.script.named(self._lent_to)
            await run(flow, live.customer, live.record, live.now, live.contact, live.script.sounds)
        except CancelledError:
            raise
        except HungUp:
            return  # the customer's end is told to everybody
        except Exception:
            log.failure("a flow that contact {contact} was lent to failed", contact=live.contact.id)
        finally:
            walked.ring()

    async def _take_back(self, letter: Letter) -> StageOfTalk:
        return await self._come_back("cancelled")

    # Inside

    @property
    def _second(self) -> Side:
        if self._other is None:
            raise RuntimeError("nobody is consulted")
        return self._other

    def _at(self, stage: Stage) -> None:
        """The contact is at this stage: who asked for it hears so now."""
        self._live.contact.stage = stage
        self._tell_done()

    def _tell_done(self) -> None:
        done, self._carried_out = self._carried_out, None
        if done is not None:
            done.done()

    def _over(self) -> Deferred[Channel]:
        return start(self._conversation.over())

    async def _news(self, *events: Deferred[Channel] | Deferred[None] | Deferred[OfferOutcome]) -> Letter | int:
        return await self._live.news(*events)

    @asynccontextmanager
    async def _music(self, *legs: Channel) -> AsyncIterator[None]:
        """Music under legs that are at home, for as long as the ``async with``."""
        async with AsyncExitStack() as stack:
            for leg in legs:
                await stack.enter_async_context(background(keep_music(leg, self._queue.music)))
            yield

    def _end_consult(self, outcome: OfferOutcome) -> None:
        """The second agent has nothing more to do with the contact."""
        other, self._other = self._second, None
        self._live.contact.consulted = ""
        ended = {"to": other.agent, "attempt": other.assignment.attempt, "outcome": outcome}
        self._live.tell(ConsultEnded, self._side.agent, **ended)
        other.leave(outcome, self._queue.wrap_up_seconds)

    def _part_from_first(self, ended_by: EndedBy) -> None:
        """The agent who had the contact is free."""
        if not self._side.over:
            self._live.tell(TalkEnded, self._side.agent, ended_by=ended_by)
            self._side.leave(OfferOutcome.CALLER_LEFT, self._queue.wrap_up_seconds)

    def _back_to_queue(self) -> None:
        queue = self._queue.id
        self._next = Wait(queue, self._live.distributor.front(queue))

    async def _give_away(self, target: str, to: str) -> None:
        """The customer leaves the agent, who is free at once."""
        await self._live.switch.fetch(self._live.customer)
        self._live.tell(Transferred, self._side.agent, target=target, to=to)
        self._part_from_first(EndedBy.AGENT)

    def _known_flow(self, flow: str) -> None:
        if not self._live.script.knows(flow):
            raise NotNow(f"there is no flow {flow!r}")

    async def _come_back(self, how: str) -> StageOfTalk:
        """The customer comes back to the agent from the flow."""
        live = self._live
        await self._end_walk()
        await live.switch.fetch(live.customer, self._side.leg)
        self._conversation = await live.switch.bridge(live.customer, self._side.leg)
        live.tell(LoanEnded, self._side.agent, flow=self._lent_to, how=how, answers=dict(live.contact.answers))
        self._side.assignment.retrieves()
        return self._talking

    async def _end_walk(self) -> None:
        """The flow is not walked any further."""
        walking, self._walking = self._walking, None
        if walking is not None:
            await cancelled(walking)
