"""One contact as one coroutine: from the first moment of a call to its last event, top to bottom.

:meth:`Contacts.arrive` starts the coroutine.  The caller hanging up cancels it wherever it stands; each ``finally`` cleans
its own place, so there is no state from which a caller cannot leave.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from functools import partial

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from easycall.acd.distributor import Assignment, Distributor, Offer, Place
from easycall.company import keep_company
from easycall.defer import background, cancelled, dropped, limited, start
from easycall.events import ContactArrived, ContactEnded, Event, Offered, OfferEnded
from easycall.fax import callers
from easycall.fax.desk import FaxDesk
from easycall.ivr.flow import Finish, ToQueue
from easycall.ivr.runner import Returned, run
from easycall.ivr.script import Script
from easycall.live import LiveContact, keep_music
from easycall.mailbox import Letter
from easycall.model import Contact, Direction, EndedBy, OfferOutcome, Outcome, Queue, Role, Stage, WorkItem
from easycall.outbound.call import CallOut, First, NotReached, OutboundCall, undialled
from easycall.outbound.dialling import Dialling
from easycall.outbound.transfer import reach_outside, together
from easycall.ports import Arrival, BridgeFailed, Channel, Conversation, HungUp, Journal, Messages, Switch, Taken
from easycall.recording import Recordings
from easycall.talk import (
    Course,
    Joined,
    Outside,
    Reach,
    ReachOutside,
    RunFlow,
    Side,
    Stay,
    TakeMessage,
    Talk,
    Wait,
    ring,
)
from easycall.talk.alone import NOBODY, answer_alone, answer_letters, answer_rung, pick, stay
from easycall.talk.message import keep_message, take_message
from easycall.verbs import NotNow, Pick, Verb

__all__ = ["Contacts"]

log = Logger()

PARK_SECONDS = 90.0
"""How long a contact is parked when nothing else is set."""

GONE_SECONDS = 15.0
"""How long we wait for a leg we hung up to go before its contact is closed without it."""


class Contacts:
    """The live contacts, each carried by its coroutine."""

    def __init__(
        self,
        clock: IReactorTime,
        journal: Journal,
        distributor: Distributor,
        script: Script,
        new_id: Callable[[], str],
        dialling: Dialling,
        recordings: Recordings | None = None,
        fax: FaxDesk | None = None,
        *,
        messages: Messages | None = None,
        park_seconds: float = PARK_SECONDS,
    ) -> None:
        """``fax``: None when there is none; ``messages``: where voice mail is kept, needed when the script has boxes;
        ``park_seconds``: how long one is parked before the contact goes back."""
        self._clock = clock
        self._journal = journal
        self._distributor = distributor
        self._script = script
        self._new_id = new_id
        self._dialling = dialling
        self._messages = messages
        self._park_seconds = park_seconds
        self._recordings = recordings
        self._fax = fax
        self._stopped = False
        self._visits: dict[str, Visit] = {}
        self._running: dict[str, Deferred[None]] = {}

    @property
    def live(self) -> Mapping[str, Contact]:
        """The contacts of now, by id."""
        return {visit.contact.id: visit.contact for visit in self._visits.values()}

    def carried(self, contact_id: str) -> LiveContact | None:
        """A live contact with what it is carried with."""
        visit = self._visits.get(contact_id)
        return visit.live if visit is not None else None

    def of_agent(self, agent: str) -> LiveContact | None:
        """The contact an agent has answered and not left."""
        return next((visit.live for visit in self._visits.values() if agent in visit.live.audience.legs), None)

    def arrive(self, arrival: Arrival) -> None:
        """A caller's leg came in: give it its id and start its story."""
        contact = Contact(
            id=self._new_id(),
            pbx=arrival.switch.name,
            leg=arrival.channel.id,
            caller=arrival.caller,
            caller_name=arrival.caller_name,
            dialled=arrival.dialled,
            arrived=self._clock.seconds(),
        )
        line = self._dialling.lines.occupy(arrival.switch.name, arrival.endpoint)
        if line is not None:
            arrival.channel.when_gone().addCallback(lambda _: line.release())
        self._carry(self._visit(self._live_contact(contact, arrival.switch, arrival.channel)))

    def call(self, asked: CallOut) -> Contact:
        """Call a customer for an agent: a line and the agent are taken, in one turn, and its story starts.

        Raises NotNow with the reason, NotDialled among them.
        """
        queue = self._distributor.queues.get(asked.queue)
        if queue is None:
            raise NotNow(f"there is no queue {asked.queue!r}")
        route = self._dialling.route(asked.number, caller_id=asked.caller_id, queue=queue)
        try:
            self._distributor.askable(asked.agent, route.switch.name, own_wish=asked.first is First.AGENT)
        except NotNow:
            route.line.release()
            raise
        contact_id = self._new_id()
        contact = Contact(
            id=contact_id,
            pbx=route.switch.name,
            leg=f"ec-{contact_id}-customer-1",
            caller=route.caller_id,
            caller_name="",
            dialled=route.number,
            arrived=self._clock.seconds(),
            direction=Direction.OUTBOUND,
            stage=Stage.DIALLING,
            queue=queue.id,
            agent=asked.agent,
            attempts=1,
            data=dict(asked.data),
        )
        live = self._live_contact(contact, route.switch, undialled(contact.leg))
        self._carry(self._visit(live, OutboundCall(live, route, queue, asked.first)))
        return contact

    def _live_contact(self, contact: Contact, switch: Switch, customer: Channel) -> LiveContact:
        shared = self._clock, self._record, self._distributor, self._script, self._dialling, self._recordings, self._fax
        return LiveContact(contact, switch, customer, *shared)

    def _visit(self, live: LiveContact, call: OutboundCall | None = None) -> Visit:
        return Visit(live, self._messages, self._park_seconds, call)

    def _carry(self, visit: Visit) -> None:
        contact_id = visit.contact.id
        self._visits[contact_id] = visit
        running = self._running[contact_id] = start(visit.carry())
        running.addBoth(self._over, contact_id)

    def hang_up(self, contact_id: str, ended_by: EndedBy = EndedBy.API) -> None:
        """End a contact now, whatever it is doing.  Raises KeyError when it is not live."""
        visit = self._visits[contact_id]
        visit.end(ended_by)

    def ask(self, contact_id: str, verb: Verb) -> Deferred[Mapping[str, str]]:
        """Ask a verb of a contact; the Deferred gives what came of it, or fails with NotNow.

        Raises KeyError when the contact is not live.
        """
        return self._visits[contact_id].live.mailbox.ask(verb)

    async def stop(self) -> None:
        """Let go of every contact without ending it: callers keep their calls, Asterisk keeps them company.

        What the coroutines do on their way out is not a fact any more and is not recorded.
        """
        self._stopped = True
        for running in list(self._running.values()):
            await cancelled(running)

    def _record(self, event: Event) -> None:
        if not self._stopped:
            self._journal.record(event)

    def _over(self, result: object, contact_id: str) -> None:
        self._visits.pop(contact_id, None)
        self._running.pop(contact_id, None)
        if isinstance(result, Failure) and not result.check(CancelledError):
            log.failure("contact {contact} was not carried to its end", result, contact=contact_id)


def _ended_by(customer: Channel) -> EndedBy:
    """Who ended a contact whose story is over, when nobody has said so."""
    if not customer.gone:
        return EndedBy.FLOW
    return EndedBy.SYSTEM if customer.died_of else EndedBy.CALLER


class Visit:
    """One contact being carried."""

    def __init__(
        self, live: LiveContact, messages: Messages | None, park_seconds: float, call: OutboundCall | None = None
    ) -> None:
        """``call``: how the customer is reached first; None: a caller reached us."""
        self.live = live
        self.contact = live.contact
        self._messages = messages
        self._park_seconds = park_seconds
        self._call = call
        self._outcome = Outcome.ABANDONED_IN_IVR
        self._box = ""
        """Where a message was left."""

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
                agent=contact.agent,
            )
        )
        try:
            await self._until_gone(self._story(await self._reached()))
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
            await keep_message(live, self._messages, self._box)
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
                    following = await self._flow(following.flow)
                case Wait():
                    following = await self._wait(live.distributor.queues[following.queue], following.enqueued)
                case Reach():
                    following = await self._reach(following)
                case Stay():
                    following = await stay(live, following, live.distributor.queues[following.queue], self._park_seconds)
                case TakeMessage():
                    following = await self._message(following.box)
                case Joined(side, conversation, queue, since):
                    following = await self._talk(Talk(live, side, conversation, live.distributor.queues[queue], since))
                case ReachOutside():
                    following = await reach_outside(live, following)
                case Outside():
                    following = await together(live, following)

    async def _greet(self) -> Course:
        """A caller's first moment."""
        live, contact = self.live, self.contact
        values = {"EC_CONTACT": contact.id, "EC_ROLE": Role.CALLER.value}
        await live.at_home(lambda: live.customer.remember(values))
        await live.at_home(live.customer.answer)
        return RunFlow(live.script.name_of(contact.dialled))

    # In a flow

    async def _flow(self, name: str) -> Course:
        live, contact = self.live, self.contact
        contact.agent = ""
        live.at(Stage.IVR)
        await live.recorder.stop("flow")
        async with background(answer_letters(live)):
            left = await callers.unless_fax(live, partial(self._walk, name))
        if isinstance(left, ToQueue):
            return Wait(left.queue)
        if self._outcome is Outcome.ABANDONED_IN_IVR:
            self._outcome = Outcome.SELF_SERVED
        return None

    async def _walk(self, name: str) -> ToQueue | Finish | Returned:
        live, script = self.live, self.live.script
        means = evolve(script.means, unheard=live.unheard, receive_fax=partial(callers.receive, live))
        return await run(script.named(name), live.customer, live.record, live.now, self.contact, script.sounds, means)

    async def _message(self, box: str) -> Course:
        if self._messages is None:
            raise RuntimeError(f"box {box}: there is no voice mail")
        self._box = box
        await take_message(self.live, self._messages, box)
        return None

    # In a queue

    async def _wait(self, queue: Queue, enqueued: float | None) -> Course:
        live, contact = self.live, self.contact
        contact.queue, contact.agent = queue.id, ""
        live.at(Stage.WAITING)
        joined = live.now() if enqueued is None else enqueued
        place = live.distributor.enter(WorkItem(contact.id, queue.id, joined, contact.pbx, contact.attempts))
        if self._outcome is not Outcome.ANSWERED:
            self._outcome = Outcome.ABANDONED
        try:
            async with background(self._company(queue, place)) as company:
                while True:
                    news = await self._news_of(place)
                    if isinstance(news, Letter) and isinstance(news.verb, Pick):
                        if (assignment := pick(live, news, news.verb)) is not None:
                            return Reach(assignment, queue.id, "", place.item.enqueued)
                    elif isinstance(news, Letter):
                        answer_alone(live, news)
                    elif (talk := await self._offer(queue, place, news)) is not None:
                        company.cancel()
                        return await self._talk(talk)
                    else:
                        contact.agent = ""
                        live.at(Stage.WAITING)
        finally:
            place.leave()

    async def _news_of(self, place: Place) -> Letter | Offer:
        """Wait for the next offer, or for the next verb."""
        offers: list[Offer] = []
        news = await self.live.news(place.offer().addCallback(offers.append))
        return news if isinstance(news, Letter) else offers[0]

    async def _company(self, queue: Queue, place: Place) -> None:
        """Keep on the leg where the caller waits and since when; then what the caller hears while waiting."""
        live = self.live
        values = {"EC_Q": queue.id, "EC_T0": str(round(place.item.enqueued * 1000))}
        sounds = live.script.busy(queue, self.contact.data.get("language", ""))
        with suppress(HungUp):
            await live.at_home(lambda: live.customer.remember(values))
            await keep_company(live.customer, queue, sounds, place, live.now)

    async def _offer(self, queue: Queue, place: Place, offer: Offer) -> Talk | None:
        """Offer the caller to one agent; None when it came to nothing."""
        live, contact = self.live, self.contact
        contact.agent, contact.attempts = offer.agent, offer.attempt
        live.at(Stage.OFFERED)
        live.tell(Offered, offer.agent, queue=queue.id, attempt=offer.attempt)
        try:
            side = ring(live, offer, queue, since=place.item.enqueued)
        except ValueError as error:
            log.error("agent {agent} cannot be rung: {error}", agent=offer.agent, error=error)
            self._offer_ended(offer, OfferOutcome.UNREACHABLE)
            offer.ended(OfferOutcome.UNREACHABLE)
            return None
        conversation = await self._connect(side, queue)
        if conversation is None:
            return None
        return Talk(live, side, conversation, queue, place.item.enqueued)

    async def _connect(self, side: Side, queue: Queue) -> Conversation | None:
        """Until the agent answers and both are bridged; None when the offer came to nothing."""
        live, outcome = self.live, OfferOutcome.CALLER_LEFT
        try:
            outcome = await self._answered(side)
            if outcome is not OfferOutcome.ANSWERED:
                return None
            outcome = OfferOutcome.CALLER_LEFT
            try:
                if not live.switch.up:
                    with suppress(Taken):
                        await side.leg.music(queue.music)
                await live.recorder.prepare(queue)
                conversation = await live.switch.bridge(live.customer, side.leg)
            except (BridgeFailed, HungUp):
                outcome = OfferOutcome.LOST
                return None
            outcome = OfferOutcome.ANSWERED
            return conversation
        finally:
            self._offer_ended(side.assignment, outcome)
            if outcome is not OfferOutcome.ANSWERED:
                side.leave(outcome, 0)

    async def _answered(self, side: Side) -> OfferOutcome:
        """Until the phone that rings is answered, or will not be."""
        while isinstance(news := await self.live.news(start(side.answered())), Letter):
            answer_rung(self.live, side, news)
        return await side.answered()

    def _offer_ended(self, offer: Assignment, outcome: OfferOutcome) -> None:
        self.live.tell(OfferEnded, offer.agent, attempt=offer.attempt, outcome=outcome)

    # With an agent

    async def _talk(self, talk: Talk) -> Course:
        """Caller and agent talk until one leaves."""
        self._outcome = Outcome.ANSWERED
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
        try:
            side = ring(live, reach.assignment, queue, since=since, by=reach.by)
        except ValueError as error:
            log.error("agent {agent} cannot be rung: {error}", agent=reach.assignment.agent, error=error)
            self._offer_ended(reach.assignment, OfferOutcome.UNREACHABLE)
            reach.assignment.ended(OfferOutcome.UNREACHABLE)
            return self._back_to(reach)
        async with background(keep_music(live.customer, queue.music)):
            conversation = await self._connect(side, queue)
        if conversation is None:
            return self._back_to(reach)
        return await self._talk(Talk(live, side, conversation, queue, since))

    def _back_to(self, reach: Reach) -> Course:
        """Reaching the agent came to nothing."""
        front = self.live.distributor.front(reach.queue)
        return Wait(reach.queue, front if reach.enqueued is None else reach.enqueued)
