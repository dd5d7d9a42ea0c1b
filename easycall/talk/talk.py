"""The talk itself: customer and agent together or on hold, and the ways to give the customer away.

The customer hanging up cancels the whole; the ``finally`` of :meth:`Talk.carry` frees every agent who is still held.
Whatever fails with an agent's leg never costs the customer the call: another agent has the customer, or the queue, first in
line.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Any, TypeAlias

from twisted.internet.defer import Deferred

from easycall.acd.staff import Assignment
from easycall.acd.wrapup import WrapUpRules
from easycall.defer import background, limited, start
from easycall.events import Answered, DataAttached, Held, PhoneLost, Retrieved, TalkEnded
from easycall.live import LiveContact, attach, keep_music
from easycall.mailbox import Letter
from easycall.model import EndedBy, LostAgent, OfferOutcome, Queue, Stage
from easycall.outbound.dialling import Route
from easycall.ports import BridgeFailed, Channel, Conversation, HungUp
from easycall.talk import faxing, second
from easycall.talk.alone import NOBODY
from easycall.talk.conference import Meeting
from easycall.talk.consultation import Consultation
from easycall.talk.course import Course, Wait
from easycall.talk.keys import send_digits
from easycall.talk.loan import Loan, lend
from easycall.talk.ringing import Side
from easycall.talk.takeover import take_over
from easycall.talk.taping import carry_out
from easycall.talk.transfer import WAYS
from easycall.verbs import (
    AttachData,
    Consult,
    Fax,
    Hold,
    Leave,
    Lend,
    NotNow,
    Record,
    Retrieve,
    SendDigits,
    TakeOver,
    Verb,
)

__all__ = ["Talk"]

StageOfTalk: TypeAlias = Callable[[], Awaitable["StageOfTalk | None"]]
Do: TypeAlias = Callable[[Any], Awaitable[StageOfTalk]]
"""Carries out one verb, and gives the stage that follows."""

HAND_OVER_SECONDS = 2.0
"""A second agent whose leg ends so soon after the customer was handed over was lost in the hand-over, and did not hang up on
the customer."""

CAUSE_SECONDS = 0.5
"""How long the news of why a leg ended may come behind that of its end."""


class Talk:
    """See the module.  What the stages of a consultation and of a loan share is public here."""

    conversation: Conversation
    """The bridge that counts at this stage."""

    def __init__(self, live: LiveContact, side: Side, conversation: Conversation | None, queue: Queue, since: float) -> None:
        """``conversation``: the bridge in which the two are, None: in none yet; ``since``: when the contact began to wait
        for this agent."""
        self.live = live
        self.side = side
        """The agent who has the contact."""
        if conversation is not None:
            self.conversation = conversation
        self.queue = queue
        """Where the contact came from: its rules hold."""
        self.since = since
        self.consultation: Consultation | None = None
        """Who is being asked."""
        self.meeting: Meeting | None = None
        """The conference the customer is in."""
        self.handed_over = -math.inf
        """When the agent got the customer from another one."""
        self._loan: Loan | None = None
        self._faxing: faxing.Faxing | None = None
        self._course: Course = None
        self._carried_out: Letter | None = None
        self._left_by = EndedBy.CALLER

    async def carry(self, entered: StageOfTalk | None = None) -> Course:
        """From the first word to the parting; what becomes of the contact then.

        ``entered``: the stage at which a process before us left it.
        """
        if entered is None:
            self.side.joined()
            waited = self.live.now() - self.since
            self.live.tell(Answered, self.side.agent, queue=self.queue.id, waited=waited, leg=self.side.leg.id)
        stage: StageOfTalk | None = entered or self.talking
        try:
            while stage is not None:
                try:
                    stage = await stage()
                except (HungUp, BridgeFailed):
                    stage = self.rescue
        finally:
            if self._carried_out is not None:  # the verb led out of the talk, by the loss of a leg
                self._carried_out.refused("one of the legs is gone")
            self.live.mailbox.clear(NOBODY)
            self._free_all()
            if self._loan is not None:
                await self._loan.close()
            if self._faxing is not None:
                await self._faxing.stop()
        return self._course

    def _free_all(self) -> None:
        guests = tuple(self.meeting.guests) if self.meeting is not None else ()
        for other in (self.consultation, *guests):
            if other is not None:
                other.end(OfferOutcome.CALLER_LEFT)
        contact = self.live.contact
        by = EndedBy.SYSTEM if self.live.customer.died_of else self._left_by
        if self._course is None:
            contact.ended_by = contact.ended_by or by
        self.part(contact.ended_by or by)

    # Stages

    async def talking(self) -> StageOfTalk | None:
        """Customer and agent are in a bridge."""
        self.at(Stage.TALKING)
        news = await self.live.news(self.over())
        if isinstance(news, Letter):
            verbs = self._giving_away | {Hold: self._hold, Consult: self._consult, SendDigits: self._send_digits}
            return await self.answer(news, self.talking, verbs)
        if await self.conversation.over() is self.side.leg:
            if self.live.now() < self.handed_over + HAND_OVER_SECONDS:
                return self.left_alone
            self._left_by = EndedBy.AGENT
            if await self._phone_died() and self.queue.lost_agent is LostAgent.REQUEUE:
                return self.left_alone
        return None

    async def regained(self) -> StageOfTalk | None:
        """The agent has the customer, who may be with the agent or still on the way, after a process before us ended."""
        live, side = self.live, self.side
        if side.leg.gone:
            return self.left_alone
        found = live.switch.together(live.customer, side.leg)
        self.conversation = found or await live.switch.bridge(live.customer, side.leg)
        side.assignment.has_back()
        return self.talking

    async def _phone_died(self) -> bool:
        """Whether the agent's leg ended though nobody hung up; told, if so."""
        leg = self.side.leg
        with suppress(TimeoutError):
            await limited(leg.when_gone(), CAUSE_SECONDS, self.live.clock)
        if leg.died_of:
            self.live.tell(PhoneLost, self.side.agent, cause=leg.died_of)
        return bool(leg.died_of)

    async def held(self) -> StageOfTalk | None:
        """The customer hears music."""
        self.at(Stage.HELD)
        async with self.music(self.live.customer, self.side.leg):
            news = await self.live.news(self.side.leg.when_gone())
        if isinstance(news, Letter):
            verbs = self._giving_away | {Retrieve: self.retrieve, Consult: self._consult}
            return await self.answer(news, self.held, verbs)
        return self.left_alone

    async def left_alone(self) -> StageOfTalk | None:
        """The agent's leg is gone and the customer is there: first in line, never hung up."""
        if self.consultation is not None:
            self.consultation.end(OfferOutcome.LOST)
        self.part(EndedBy.AGENT)
        self.back_to_queue()
        return None

    async def rescue(self) -> StageOfTalk | None:
        """Two could not be joined: whoever is there keeps the customer."""
        if self.live.customer.gone:
            return None
        if self.meeting is not None:
            return self.meeting.rescue
        consultation = self.consultation
        if self.side.over or self.side.leg.gone:
            return self.left_alone if consultation is None or not consultation.talks else consultation.hand_over
        if consultation is not None:
            consultation.end(OfferOutcome.LOST)
        if self.live.contact.stage in (Stage.TALKING, Stage.CONFERENCE):
            self._holds()
        await self.live.switch.fetch(self.live.customer, self.side.leg)
        return self.held

    async def _parted(self) -> StageOfTalk | None:
        self._tell_done()
        return None

    # Verbs

    async def answer(self, letter: Letter, stage: StageOfTalk, verbs: Mapping[type[Verb], Do]) -> StageOfTalk:
        """Carry a verb out; one that is not among ``verbs`` makes no sense at ``stage`` and is refused, nothing changes."""
        verb = letter.verb
        try:
            if isinstance(verb, AttachData):
                return self._attach(letter, verb, stage)
            if isinstance(verb, Leave) and not self.side.over:
                self.side.leg.hang_up()
                letter.done()
                return stage
            if isinstance(verb, Record):
                await carry_out(self, verb)
                self._carried_out = letter
                return stage
            if type(verb) not in verbs:
                now = self.live.contact.stage.value
                raise NotNow(f"{type(verb).__name__} is not possible while the contact is {now}")
            following = await verbs[type(verb)](verb)
            self._carried_out = letter
            return following
        except NotNow as why:
            letter.refused(str(why))
            return stage
        except (HungUp, BridgeFailed):
            letter.refused("one of the legs is gone")
            return self.rescue
        finally:
            if self._carried_out is not letter:
                letter.refused("the call ended meanwhile")

    def _attach(self, letter: Letter, verb: AttachData, stage: StageOfTalk) -> StageOfTalk:
        attach(self.live.contact.data, verb.data)
        self.live.tell(DataAttached, self.side.agent, data=dict(verb.data))
        letter.done()
        return stage

    @property
    def _giving_away(self) -> dict[type[Verb], Do]:
        """What can be done with a customer who talks or is on hold."""
        ways: dict[type[Verb], Do] = {verb: partial(way, self) for verb, way in WAYS.items()}
        return ways | {Lend: self._lend, TakeOver: self._take_over, Fax: self._fax}

    async def _hold(self, verb: Hold) -> StageOfTalk:
        await self.put_on_hold()
        return self.held

    async def put_on_hold(self) -> None:
        """The customer hears music from now, if not already."""
        if self.live.contact.stage is Stage.TALKING:
            await self.live.switch.fetch(self.live.customer, self.side.leg)
            self._holds()

    def _holds(self) -> None:
        self.side.assignment.holds()
        self.live.tell(Held, self.side.agent)

    async def retrieve(self, verb: Verb) -> StageOfTalk:
        """The customer comes back to the agent."""
        await self.rejoin()
        return self.talking

    async def rejoin(self) -> None:
        """Customer and agent are joined again."""
        self.conversation = await self.live.switch.bridge(self.live.customer, self.side.leg)
        self.side.assignment.retrieves()
        self.live.tell(Retrieved, self.side.agent)

    async def _consult(self, verb: Consult) -> StageOfTalk:
        asked = second.reserve(self, verb)
        try:
            await self.put_on_hold()
            await self.live.switch.when_up()  # the customer may have come home without it
            return self.ask(asked).calling
        except BaseException:
            second.give_back(asked)
            raise

    def ask(self, asked: Assignment | Route) -> Consultation:
        """Ring who was reserved for a question.  Raises NotNow."""
        self.consultation = Consultation(self, second.call(self, asked))
        return self.consultation

    async def _lend(self, verb: Lend) -> StageOfTalk:
        self._loan = await lend(self, verb)
        return self._loan.lent

    async def _take_over(self, verb: TakeOver) -> StageOfTalk:
        return await take_over(self, verb)

    async def _fax(self, verb: Fax) -> StageOfTalk:
        self._faxing = await faxing.begin(self, verb)
        return self._faxing.faxing

    async def _send_digits(self, verb: SendDigits) -> StageOfTalk:
        await send_digits(self, verb)
        return self.talking

    def known_flow(self, flow: str) -> None:
        """Raises NotNow when there is no flow of that name."""
        if not self.live.script.knows(flow):
            raise NotNow(f"there is no flow {flow!r}")

    # What every stage needs

    def at(self, stage: Stage, *, ours: bool = True) -> None:
        """The contact is at this stage: who asked for it hears so now.  ``ours``: see :meth:`LiveContact.at`."""
        self.live.at(stage, ours=ours)
        self._tell_done()

    def _tell_done(self) -> None:
        done, self._carried_out = self._carried_out, None
        if done is not None:
            done.done()

    def over(self) -> Deferred[Channel]:
        """Fires when the conversation that counts is over."""
        return start(self.conversation.over())

    @asynccontextmanager
    async def music(self, *legs: Channel) -> AsyncIterator[None]:
        """Music under legs that are at home, for as long as the ``async with``."""
        async with AsyncExitStack() as stack:
            for leg in legs:
                await stack.enter_async_context(background(keep_music(leg, self.queue.music)))
            yield

    def forget(self, consultation: Consultation) -> None:
        """That one is not asked any more, nor a guest of the conference."""
        if self.consultation is consultation:
            self.consultation = None
        elif self.meeting is not None and consultation in self.meeting.guests:
            self.meeting.guests.remove(consultation)
        self.name_others()

    def name_others(self) -> None:
        """The contact shows who is asked, and who is in the conference."""
        guests = self.meeting.guests if self.meeting is not None else []
        others = [*guests, self.consultation] if self.consultation is not None else guests
        self.live.contact.consulted = others[-1].name if others else ""
        self.live.contact.conference = tuple(guest.name for guest in guests)

    def part(self, ended_by: EndedBy) -> None:
        """The agent who had the contact is free.  A second time does nothing."""
        if not self.side.over:
            self.live.tell(TalkEnded, self.side.agent, ended_by=ended_by)
            self.side.leave(OfferOutcome.CALLER_LEFT, WrapUpRules.of(self.queue))

    def goes_on(self, course: Course) -> StageOfTalk:
        """The agent has given the contact away."""
        self.part(EndedBy.AGENT)
        self._course = course
        self.name_others()
        return self._parted

    def back_to_queue(self, refused: Mapping[str, float] | None = None) -> None:
        """The contact goes on first in line; ``refused``: by whom just now, see :class:`easycall.talk.course.Wait`."""
        front = self.live.distributor.front(self.queue.id, self.live.contact.priority)
        self._course = Wait(self.queue.id, front, refused or {})
