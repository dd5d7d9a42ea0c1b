"""One contact as one coroutine: from the first moment of a call to its last event, top to bottom.

:meth:`Visit.carry` is all of it; :mod:`easycall.contacts` starts it.  The caller hanging up cancels it wherever it stands;
each ``finally`` cleans its own place, so there is no state from which a caller cannot leave.
"""

from __future__ import annotations

from collections.abc import Coroutine
from functools import partial

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from easycall.acd.staff import Assignment
from easycall.callback.asking import promise_callback
from easycall.callback.call_back import CallBack
from easycall.callback.desk import CallbackDesk
from easycall.defer import background, dropped, limited, start
from easycall.events import ContactArrived, ContactEnded, Offered
from easycall.fax import callers
from easycall.in_line import InLine
from easycall.ivr.instructions import ToVoicemail
from easycall.ivr.runner import Left, Returned, Waiting, run
from easycall.joining import Joining
from easycall.lifetime import BELT_SECONDS, limited_life
from easycall.live import LiveContact, keep_music
from easycall.model import Direction, EndedBy, Lifetime, OfferOutcome, Outcome, Queue, Role, Stage
from easycall.offering import connect, ring_agent
from easycall.outbound.call import NotReached, OutboundCall
from easycall.outbound.transfer import reach_outside, rung_outside, several_together, together
from easycall.overflow import Overflow, say_farewell
from easycall.ports import Channel, HungUp, Messages
from easycall.recovery.entry import Entry
from easycall.talk import (
    Course,
    Farewell,
    Joined,
    Outside,
    OutsideConference,
    Reach,
    ReachOutside,
    RunFlow,
    Rung,
    RungOutside,
    Stay,
    TakeMessage,
    Talk,
    TalkOn,
    Wait,
)
from easycall.talk.alone import NOBODY, answer_letters, stay
from easycall.talk.message import keep_message, said_before, take_message

__all__ = ["GONE_SECONDS", "Visit"]

log = Logger()

GONE_SECONDS = 15.0
"""How long we wait for a leg we hung up to go before its contact is closed without it."""


class Visit:
    """One contact being carried."""

    def __init__(
        self,
        live: LiveContact,
        messages: Messages | None,
        park_seconds: float,
        lifetime: Lifetime,
        overflow: Overflow,
        joining: Joining,
        call: OutboundCall | CallBack | None = None,
        entry: Entry | None = None,
        desk: CallbackDesk | None = None,
        arrived: bool = False,
    ) -> None:
        """``call``: how the customer is reached first; None: a caller reached us.
        ``entry``: where the story goes on that a process before us carried; ``desk``: whom callers ask to be called
        back, None: nobody; ``arrived``: a process before us told that it did."""
        self.live = live
        self.contact = live.contact
        self._messages = messages
        self._park_seconds = park_seconds
        self._lifetime = lifetime
        self._in_line = InLine(live, joining, overflow, self._becomes, self._talk)
        self._call = call
        self._entry = entry
        self._desk = desk
        self._arrived = arrived or entry is not None
        self._outcome = Outcome.ABANDONED_IN_IVR
        self._box = ""
        """Where a message was left."""
        if entry is not None:
            left = entry.left
            self._outcome, self._box = left.outcome, left.box
            self._in_line.kept, self._in_line.overflowed = left.kept, left.overflowed

    def _becomes(self, outcome: Outcome) -> None:
        """What has become of the contact if nothing more does; once an agent has had it, nothing else has."""
        if self._outcome is not Outcome.ANSWERED:
            self._outcome = outcome

    def end(self, by: EndedBy) -> None:
        """Hang the caller up; the first who ends a contact is the one who ended it."""
        self.contact.ended_by = self.contact.ended_by or by
        self.live.customer.hang_up()

    async def carry(self) -> None:
        """The whole visit.  Cancelled from outside (the daemon stops) it lets go of the call and ends nothing."""
        contact, live = self.contact, self.live
        if not self._arrived:
            self._arrives()
        try:
            course = await self._reached()
            # Who asked to be called may have waited for hours before.
            since = contact.arrived if self._call is None else live.now()
            if self._entry is not None:
                since = self._entry.left.answered_at or since
                self._knows_its_end(since)
            with limited_life(live, self._lifetime, partial(self.end, EndedBy.SYSTEM), since):
                await self._until_gone(self._story(course))
        except HungUp:
            pass
        except NotReached as why:
            self._outcome, contact.ended_by = why.outcome, contact.ended_by or why.ended_by
        except CancelledError:
            live.recorder.let_go()
            raise
        except Exception:
            log.failure("contact {contact} failed", contact=contact.id)
            self._outcome, contact.ended_by = Outcome.FAILED, EndedBy.SYSTEM
        live.mailbox.close(NOBODY)
        self.end(_ended_by(live.customer))
        await self._leave()
        live.recorder.over()
        if self._box and self._messages is not None:
            self._outcome = await keep_message(live, self._messages, self._box, self._outcome)
        contact.stage = Stage.ENDED
        live.audience.close()
        if contact.faxes and self._outcome is Outcome.ABANDONED_IN_IVR:
            self._outcome = Outcome.SELF_SERVED  # a machine that is done hangs up
        live.tell(
            ContactEnded,
            outcome=self._outcome,
            ended_by=contact.ended_by or EndedBy.SYSTEM,
            end_estimated=not live.customer.end_seen,
        )

    def _arrives(self) -> None:
        contact = self.contact
        self.live.record(
            ContactArrived(
                at=contact.arrived,
                contact=contact.id,
                pbx=contact.pbx,
                leg=contact.leg,
                caller=contact.caller,
                caller_name=contact.caller_name,
                dialled=contact.dialled,
                direction=contact.direction,
                channel=contact.channel,
                agent=contact.agent,
                session=contact.session,
                callback=contact.callback,
            )
        )

    def _knows_its_end(self, since: float) -> None:
        """Asterisk knows how long it may last, but forgets it with the next bridge: we remind it again."""
        left = since + self._lifetime.longest_seconds + BELT_SECONDS - self.live.now()
        self.live.switch.limit(self.live.customer, max(1.0, left))

    async def _until_gone(self, story: Coroutine[Deferred[object], object, None]) -> None:
        """Carry on with ``story`` until it is told or the caller's leg is gone, which cancels it."""
        running = start(story)
        gone = self.live.customer.when_gone()
        gone.addCallback(lambda _: running.cancel())
        try:
            await running
        except CancelledError:
            if not self.live.customer.gone:
                raise
        finally:
            dropped(gone)

    async def _leave(self) -> None:
        """Wait until the caller's leg is gone; a leg that cannot be reached is left to reconciliation."""
        try:
            await limited(self.live.customer.when_gone(), GONE_SECONDS, self.live.clock)
        except TimeoutError:
            log.warn("the leg of contact {contact} did not go in time", contact=self.contact.id)

    async def _reached(self) -> Course:
        """A customer whom we call is there, or was before this process began: what comes first then; None: a caller
        reached us."""
        if self._entry is not None:
            return await self._entry.reach()
        if self._call is None:
            return None
        course = await self._call.reach()
        self._outcome = Outcome.ABANDONED
        return course

    async def _story(self, following: Course) -> None:
        live = self.live
        if following is None:
            following = await self._greet()
        while following is not None:
            match following:
                case RunFlow():
                    following = await self._flow(following)
                case Wait():
                    following = await self._in_line.wait(following)
                case Reach():
                    following = await self._reach(following)
                case Rung():
                    following = await self._rung(following)
                case TalkOn(talk, stage):
                    following = await talk.carry(stage)
                case Stay():
                    following = await stay(live, following, live.distributor.queues[following.queue], self._park_seconds)
                case TakeMessage():
                    following = await self._message(following)
                case Farewell():
                    following = await say_farewell(live, following.say)
                case Joined(side, conversation, queue, since):
                    following = await self._talk(Talk(live, side, conversation, live.distributor.queues[queue], since))
                case ReachOutside():
                    following = await reach_outside(live, following)
                case RungOutside():
                    following = await rung_outside(live, following)
                case Outside():
                    following = await together(live, following)
                case OutsideConference():
                    following = await several_together(live, following)

    async def _greet(self) -> Course:
        """A caller's first moment."""
        live, contact = self.live, self.contact
        values = {"EC_CONTACT": contact.id, "EC_ROLE": Role.CALLER.value}
        await live.at_home(lambda: live.customer.remember(values))
        live.switch.limit(live.customer, self._lifetime.longest_seconds + BELT_SECONDS)
        await live.at_home(live.customer.answer)
        return RunFlow(live.script.name_of(contact.dialled))

    # In a flow

    async def _flow(self, course: RunFlow) -> Course:
        live, contact = self.live, self.contact
        contact.agent = ""
        live.at(Stage.IVR)
        await live.recorder.stop("flow")
        async with background(answer_letters(live)):
            if course.waited is not None or course.resumed is not None:
                await live.at_home(lambda: live.customer.music(None))
            left = await callers.unless_fax(live, partial(self._walk, course))
        match left:
            case Waiting():
                kept = self._in_line.kept.get(left.queue)
                return Wait(left.queue, kept, flow=RunFlow(course.flow, left), since=kept, asked=left.asked)
            case ToVoicemail():
                return TakeMessage(left.box)
        if self._outcome is Outcome.ABANDONED_IN_IVR or (self._outcome is Outcome.ABANDONED and self._in_line.kept):
            self._outcome = Outcome.SELF_SERVED
        return None

    async def _walk(self, course: RunFlow) -> Left | Returned:
        live, script = self.live, self.live.script
        means = evolve(
            script.means,
            unheard=live.unheard,
            receive_fax=partial(callers.receive, live),
            promise_callback=self._promise_callback if self._desk is not None else None,
        )
        told = live.record, live.now, self.contact, script.sounds, means
        return await run(script.named(course.flow), live.customer, *told, goes_on=course.resumed or course.waited)

    async def _promise_callback(self, queue: str, number: str) -> bool:
        """The caller asks to be called back; a place in line that was left by a key is kept."""
        if self._desk is None:
            return False
        promised = await promise_callback(self.live, self._desk, queue, number, self._in_line.kept.get(queue))
        if promised:
            self._becomes(Outcome.CALLBACK)
        return promised

    async def _message(self, course: TakeMessage) -> Course:
        messages, box = self._messages, course.box
        if messages is None:
            raise RuntimeError(f"box {box}: there is no voice mail")
        self._box = box
        if not course.began or not await said_before(self.live, messages, box):
            await take_message(self.live, messages, box)
        return None

    # With an agent

    async def _talk(self, talk: Talk) -> Course:
        """Caller and agent talk until one leaves."""
        self._outcome = Outcome.ANSWERED
        self._in_line.kept.clear()
        return await talk.carry()

    async def _until_up(self, queue: Queue, assignment: Assignment) -> None:
        """A phone that is rung without the link is lost, and with it the agent who was asked for: wait for it."""
        try:
            async with background(keep_music(self.live.customer, queue.music)):
                await self.live.switch.when_up()
        except BaseException:
            assignment.ended(OfferOutcome.LOST)
            raise

    async def _reach(self, reach: Reach) -> Course:
        """The agent who was asked for is rung; if that comes to nothing, the contact has its place in line, or the first."""
        try:
            return await self._reached_agent(reach)
        except BaseException:
            if reach.place is not None:
                reach.place.leave()
            raise

    async def _reached_agent(self, reach: Reach) -> Course:
        live, contact = self.live, self.contact
        queue = live.distributor.queues[reach.queue]
        since = live.now() if reach.enqueued is None else reach.enqueued
        contact.agent = reach.assignment.agent
        live.at(Stage.OFFERED)
        if not live.switch.up:
            await self._until_up(queue, reach.assignment)
        live.tell(Offered, reach.assignment.agent, queue=queue.id, attempt=reach.assignment.attempt)
        side = ring_agent(live, reach.assignment, queue, since=since, by=reach.by)
        if side is None:
            return self._back_to(reach)
        async with background(keep_music(live.customer, queue.music)) as music:
            connected = await connect(live, [side], queue)
            if connected is not None:
                music.cancel()  # not waited for: between here and the talk nobody would free the agent
                return await self._talk(Talk(live, *connected, queue, since))
        return self._back_to(reach)

    async def _rung(self, rung: Rung) -> Course:
        """Until one of the agents answers whom a process before us rang, or none of them does."""
        live, back = self.live, rung.back
        queue, place = live.distributor.queues[back.queue], None
        try:
            if back.found is not None:
                agents = [(side.agent, side.attempt) for side in rung.sides]
                place, offers = live.distributor.enter_offered(back.found, agents)
                for side, offer in zip(rung.sides, offers, strict=True):
                    side.assignment = offer
            live.at(Stage.OFFERED)
            async with background(keep_music(live.customer, queue.music)) as music:
                connected = await connect(live, rung.sides, queue)
                if connected is not None:
                    music.cancel()
                    since = live.now() if back.enqueued is None else back.enqueued
                    return await self._talk(Talk(live, *connected, queue, since))
        except BaseException:
            if place is not None:
                place.leave()
            raise
        finally:
            live.contact.rung = ()
        refused = dict(back.refused)
        for side in rung.sides:
            refused |= side.refusal
        return evolve(back, refused=refused, place=place)

    def _back_to(self, reach: Reach) -> Course:
        """Reaching the agent came to nothing."""
        front = self.live.distributor.front(reach.queue, self.contact.priority)
        enqueued = front if reach.enqueued is None else reach.enqueued
        # Who was called has the place of an earlier call, and is on the line for a moment only.
        since = reach.enqueued if self.contact.direction is Direction.INBOUND else None
        return Wait(reach.queue, enqueued, reach.assignment.refusal, since=since, place=reach.place)


def _ended_by(customer: Channel) -> EndedBy:
    """Who ended a contact whose story is over, when nobody has said so."""
    if not customer.gone:
        return EndedBy.FLOW
    return EndedBy.SYSTEM if customer.died_of else EndedBy.CALLER
