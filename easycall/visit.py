"""One contact as one coroutine: from the first moment of a call to its last event, top to bottom.

:meth:`Visit.carry` is all of it; :mod:`easycall.contacts` starts it.  The caller hanging up cancels it wherever it stands;
each ``finally`` cleans its own place, so there is no state from which a caller cannot leave.
"""

from __future__ import annotations

from collections.abc import Coroutine
from contextlib import suppress
from functools import partial

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from easycall.acd.distributor import Offer, Place
from easycall.acd.staff import Assignment
from easycall.company import Exits, keep_company, sayings
from easycall.defer import background, dropped, limited, start
from easycall.events import ContactArrived, ContactEnded, Offered, QueueLeft, QueueOverflowed
from easycall.fax import callers
from easycall.ivr.flow import ToVoicemail
from easycall.ivr.runner import Left, Returned, Waiting, run
from easycall.joining import Joining
from easycall.lifetime import BELT_SECONDS, limited_life
from easycall.live import LiveContact, keep_music
from easycall.mailbox import Letter
from easycall.model import EndedBy, Lifetime, OfferOutcome, Outcome, OverflowRule, Queue, Role, Stage
from easycall.offering import connect, ring_agent
from easycall.outbound.call import NotReached, OutboundCall
from easycall.outbound.transfer import reach_outside, several_together, together
from easycall.overflow import OUTCOMES, OVERFLOW_LIMIT, Overflow, course_of, out_of_music, say_farewell
from easycall.policy import WorkItem
from easycall.ports import Channel, HungUp, Messages
from easycall.talk import (
    Course,
    Farewell,
    Joined,
    Outside,
    OutsideConference,
    Reach,
    ReachOutside,
    RunFlow,
    Stay,
    TakeMessage,
    Talk,
    Wait,
)
from easycall.talk.alone import NOBODY, answer_alone, answer_letters, pick, stay
from easycall.talk.message import keep_message, take_message
from easycall.verbs import Pick
from easycall.work.call_me import CallMe

__all__ = ["GONE_SECONDS", "Visit"]

log = Logger()

ASKING_SECONDS = 0.2
"""How soon an overflow rule is looked at again that holds while a strategy is asked who gets the contact."""
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
        call: OutboundCall | CallMe | None = None,
    ) -> None:
        """``call``: how the customer is reached first; None: a caller reached us."""
        self.live = live
        self.contact = live.contact
        self._messages = messages
        self._park_seconds = park_seconds
        self._lifetime = lifetime
        self._overflow = overflow
        self._joining = joining
        self._item: WorkItem | None = None
        """What waited of it last."""
        self._overflowed = 0
        """How often a queue did not keep it."""
        self._call = call
        self._outcome = Outcome.ABANDONED_IN_IVR
        self._box = ""
        """Where a message was left."""
        self._kept: dict[str, float] = {}
        """Queue -> when it joined, of those the caller left by a key before anybody answered."""

    def end(self, by: EndedBy) -> None:
        """Hang the caller up; the first who ends a contact is the one who ended it."""
        self.contact.ended_by = self.contact.ended_by or by
        self.live.customer.hang_up()

    async def carry(self) -> None:
        """The whole visit.  Cancelled from outside (the daemon stops) it lets go of the call and ends nothing."""
        contact, live = self.contact, self.live
        live.record(
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
            )
        )
        try:
            course = await self._reached()
            # Who asked to be called may have waited for hours before.
            since = contact.arrived if self._call is None else live.now()
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
        if self._item is not None and self._outcome is Outcome.ABANDONED:
            self._joining.broke_off(live, self._item, live.distributor.queues[self._item.queue])
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
        """A customer whom we call is there: what comes first then; None: a caller reached us."""
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
                    following = await self._wait(following)
                case Reach():
                    following = await self._reach(following)
                case Stay():
                    following = await stay(live, following, live.distributor.queues[following.queue], self._park_seconds)
                case TakeMessage():
                    following = await self._message(following.box)
                case Farewell():
                    following = await say_farewell(live, following.say)
                case Joined(side, conversation, queue, since):
                    following = await self._talk(Talk(live, side, conversation, live.distributor.queues[queue], since))
                case ReachOutside():
                    following = await reach_outside(live, following)
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
            if course.waited is not None:
                await live.at_home(lambda: live.customer.music(None))
            left = await callers.unless_fax(live, partial(self._walk, course))
        match left:
            case Waiting():
                kept = self._kept.get(left.queue)
                return Wait(left.queue, kept, flow=RunFlow(course.flow, left), since=kept, asked=left.asked)
            case ToVoicemail():
                return TakeMessage(left.box)
        if self._outcome is Outcome.ABANDONED_IN_IVR or (self._outcome is Outcome.ABANDONED and self._kept):
            self._outcome = Outcome.SELF_SERVED
        return None

    async def _walk(self, course: RunFlow) -> Left | Returned:
        live, script = self.live, self.live.script
        means = evolve(script.means, unheard=live.unheard, receive_fax=partial(callers.receive, live))
        told = live.record, live.now, self.contact, script.sounds, means
        return await run(script.named(course.flow), live.customer, *told, waited=course.waited)

    async def _message(self, box: str) -> Course:
        if self._messages is None:
            raise RuntimeError(f"box {box}: there is no voice mail")
        self._box = box
        await take_message(self.live, self._messages, box)
        return None

    # In a queue

    async def _wait(self, wait: Wait) -> Course:
        live, contact = self.live, self.contact
        queue = live.distributor.queues[wait.queue]
        item = await self._joining.item(live, wait, queue)
        since = live.now() if wait.since is None else wait.since
        entering = wait.enqueued is None or wait.overflowed
        if wait.enqueued is None:
            resumed = self._joining.resumed(live, item, queue)
            item, entering = resumed, resumed is item
        joined = item.enqueued
        if isinstance(rule := self._overflow.judge(queue, since, entering=entering), OverflowRule):
            return await self._sent_on(self._goes(queue, rule, joined, since))
        live.at(Stage.WAITING)
        self._item = item
        place = live.distributor.enter(item)
        if self._outcome is not Outcome.ANSWERED:
            self._outcome = Outcome.ABANDONED
        way_back = wait.flow.waited if wait.flow is not None else None
        exits = Exits(way_back.keys if way_back is not None else "")
        try:
            async with background(self._company(queue, place, exits)) as company:
                company.addCallback(lambda leaves: exits.used.ring() if leaves else None)
                while True:
                    queue = live.distributor.queues[queue.id]  # it may have been changed
                    if exits.used.rung and wait.flow is not None and not place.reserved:
                        return self._by_key(wait.flow, place, exits.pressed)
                    rule = self._overflow.judge(queue, since)
                    if isinstance(rule, OverflowRule) and not place.reserved:
                        place.leave()
                        course = self._goes(queue, rule, joined, since)
                        break
                    # A rule that holds while an agent is reserved and not rung: a strategy is asked, which takes a moment.
                    until = live.now() + ASKING_SECONDS if isinstance(rule, OverflowRule) else rule
                    news = await self._news_of(place, exits, self._overflow.may_change(queue, until))
                    if news is None:
                        continue
                    if isinstance(news, Letter) and isinstance(news.verb, Pick):
                        if (assignment := pick(live, news, news.verb)) is not None:
                            return Reach(assignment, queue.id, "", place.item.enqueued)
                    elif isinstance(news, Letter):
                        answer_alone(live, news)
                    elif (talk := await self._offer(live.distributor.queues[queue.id], place, news)) is not None:
                        company.cancel()
                        return await self._talk(talk)
                    else:
                        contact.agent = ""
                        live.at(Stage.WAITING)
        finally:
            place.leave()
        return await self._sent_on(course)

    async def _sent_on(self, course: Course) -> Course:
        """To another queue it goes with the music it hears."""
        if not isinstance(course, Wait):
            await out_of_music(self.live)
        return course

    def _goes(self, queue: Queue, rule: OverflowRule, joined: float, since: float) -> Course:
        """The contact does not stay in the queue."""
        self._overflowed += 1
        if self._overflowed > OVERFLOW_LIMIT:
            raise RuntimeError(f"queue {queue.id}: its overflow leads back to it, through flows")
        self.live.tell(
            QueueOverflowed, queue=queue.id, to=rule.place, rule=rule.when, waited=round(self.live.now() - since, 3)
        )
        if self._outcome is not Outcome.ANSWERED:
            self._outcome = OUTCOMES.get(rule.when, Outcome.OVERFLOWED)
        return course_of(rule, joined, since)

    def _by_key(self, flow: RunFlow, place: Place, key: str) -> Course:
        """The caller leaves the line by a key; the place is kept for when the flow leads back."""
        queue, joined = place.item.queue, place.item.enqueued
        place.leave()
        self._kept[queue] = joined
        self.live.tell(QueueLeft, queue=queue, waited=round(self.live.now() - joined, 3))
        return evolve(flow, waited=evolve(flow.waited, pressed=key) if flow.waited is not None else None)

    async def _news_of(self, place: Place, exits: Exits, again: Deferred[None]) -> Letter | Offer | None:
        """Wait for the next offer, or for the next verb; None: a key that leads on was pressed, or another rule may hold."""
        offers: list[Offer] = []
        events = [again] if exits.used.rung else [again, exits.used.wait()]
        news = await self.live.news(place.offer().addCallback(offers.append), *events)
        return news if isinstance(news, Letter) else offers[0] if offers else None

    async def _company(self, queue: Queue, place: Place, exits: Exits) -> bool:
        """Keep on the leg where the caller waits and since when; then what the caller hears while waiting.

        True: the caller leaves by a key.
        """
        live = self.live
        values = {"EC_Q": queue.id, "EC_T0": str(round(place.item.enqueued * 1000))}
        with suppress(HungUp):
            await live.at_home(lambda: live.customer.remember(values))
            return await keep_company(live.customer, queue.music, sayings(live, queue, place), place, live.now, exits)
        return False

    async def _offer(self, queue: Queue, place: Place, offer: Offer) -> Talk | None:
        """Offer the caller to one agent, or to several at once; None when it came to nothing."""
        live, contact = self.live, self.contact
        offers = (offer, *offer.beside)
        contact.agent, contact.attempts = offer.agent, offers[-1].attempt
        contact.rung = tuple(one.agent for one in offer.beside)
        live.at(Stage.OFFERED)
        sides = []
        for one in offers:
            live.tell(Offered, one.agent, queue=queue.id, attempt=one.attempt, at_once=len(offers))
            if (side := ring_agent(live, one, queue, since=place.item.enqueued)) is not None:
                sides.append(side)
        try:
            connected = await connect(live, sides, queue)
        finally:
            contact.rung = ()
        return Talk(live, *connected, queue, place.item.enqueued) if connected is not None else None

    # With an agent

    async def _talk(self, talk: Talk) -> Course:
        """Caller and agent talk until one leaves."""
        self._outcome = Outcome.ANSWERED
        self._kept.clear()
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
        """The agent who was asked for is rung; if that comes to nothing, the contact is first in line."""
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

    def _back_to(self, reach: Reach) -> Course:
        """Reaching the agent came to nothing."""
        front = self.live.distributor.front(reach.queue, self.contact.priority)
        enqueued = front if reach.enqueued is None else reach.enqueued
        return Wait(reach.queue, enqueued, reach.assignment.refusal, since=reach.enqueued)


def _ended_by(customer: Channel) -> EndedBy:
    """Who ended a contact whose story is over, when nobody has said so."""
    if not customer.gone:
        return EndedBy.FLOW
    return EndedBy.SYSTEM if customer.died_of else EndedBy.CALLER
