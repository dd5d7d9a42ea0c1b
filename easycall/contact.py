"""One contact as one coroutine: from the first moment of a call to its last event, top to bottom.

:meth:`Contacts.arrive` starts the coroutine.  The caller hanging up cancels it wherever it stands; each ``finally`` cleans
its own place, so there is no state from which a caller cannot leave.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from easycall.acd.distributor import Distributor, Offer, Place
from easycall.company import keep_company
from easycall.defer import background, cancelled, dropped, limited, start
from easycall.events import (
    Answered,
    ContactArrived,
    ContactEnded,
    Event,
    Offered,
    OfferEnded,
    ScreenPop,
    ScreenPopRevoked,
    TalkEnded,
)
from easycall.ivr.flow import ToQueue
from easycall.ivr.runner import run
from easycall.ivr.script import Script
from easycall.model import Contact, EndedBy, OfferOutcome, Outcome, Queue, Role, Stage, WorkItem
from easycall.ports import Arrival, BridgeFailed, Channel, Conversation, HungUp, Journal, NotAnswered, Taken

__all__ = ["Contacts"]

log = Logger()

GONE_SECONDS = 15.0
"""How long we wait for a leg we hung up to go before its contact is closed without it."""


class Contacts:
    """The live contacts, each carried by its coroutine."""

    def __init__(
        self, clock: IReactorTime, journal: Journal, distributor: Distributor, script: Script, new_id: Callable[[], str]
    ) -> None:
        self._clock = clock
        self._journal = journal
        self._distributor = distributor
        self._script = script
        self._new_id = new_id
        self._stopped = False
        self._visits: dict[str, Visit] = {}
        self._running: dict[str, Deferred[None]] = {}

    @property
    def live(self) -> Mapping[str, Contact]:
        """The contacts of now, by id."""
        return {visit.contact.id: visit.contact for visit in self._visits.values()}

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
        visit = self._visits[contact.id] = Visit(
            contact, arrival, self._clock, self._record, self._distributor, self._script
        )
        running = self._running[contact.id] = start(visit.carry())
        running.addBoth(self._over, contact.id)

    def hang_up(self, contact_id: str, ended_by: EndedBy = EndedBy.API) -> None:
        """End a contact now, whatever it is doing.  Raises KeyError when it is not live."""
        visit = self._visits[contact_id]
        visit.end(ended_by)

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


class Visit:
    """One contact being carried."""

    def __init__(
        self,
        contact: Contact,
        arrival: Arrival,
        clock: IReactorTime,
        record: Callable[[Event], None],
        distributor: Distributor,
        script: Script,
    ) -> None:
        self.contact = contact
        self._switch = arrival.switch
        self._channel = arrival.channel
        self._clock = clock
        self._record = record
        self._distributor = distributor
        self._script = script
        self._ended_by: EndedBy | None = None
        self._popped = 0
        self._outcome = Outcome.ABANDONED_IN_IVR

    def end(self, by: EndedBy) -> None:
        """Hang the caller up; the first who ends a contact is the one who ended it."""
        self._ended_by = self._ended_by or by
        self._channel.hang_up()

    async def carry(self) -> None:
        """The whole visit.  Cancelled from outside (the daemon stops) it lets go of the call and ends nothing."""
        contact = self.contact
        self._record(
            ContactArrived(
                at=contact.arrived,
                contact=contact.id,
                pbx=contact.pbx,
                leg=contact.leg,
                caller=contact.caller,
                caller_name=contact.caller_name,
                dialled=contact.dialled,
            )
        )
        try:
            await self._until_gone(self._story())
        except HungUp:
            pass
        except CancelledError:
            raise
        except Exception:
            log.failure("contact {contact} failed", contact=contact.id)
            self._outcome, self._ended_by = Outcome.FAILED, EndedBy.SYSTEM
        self.end(EndedBy.CALLER if self._channel.gone else EndedBy.FLOW)
        await self._leave()
        contact.stage = Stage.ENDED
        self._record(
            ContactEnded(
                at=self._clock.seconds(),
                contact=contact.id,
                outcome=self._outcome,
                ended_by=self._ended_by or EndedBy.SYSTEM,
            )
        )

    async def _until_gone(self, story: Coroutine[Deferred[object], object, None]) -> None:
        """Carry on with ``story`` until it is told or the caller's leg is gone, which cancels it."""
        running = start(story)
        gone = self._channel.when_gone()
        gone.addCallback(lambda _: running.cancel())
        try:
            await running
        except CancelledError:
            if not self._channel.gone:
                raise
        finally:
            dropped(gone)

    async def _leave(self) -> None:
        """Wait until the caller's leg is gone; a leg that cannot be reached is left to reconciliation."""
        try:
            await limited(self._channel.when_gone(), GONE_SECONDS, self._clock)
        except TimeoutError:
            log.warn("the leg of contact {contact} did not go in time", contact=self.contact.id)

    async def _story(self) -> None:
        channel, contact = self._channel, self.contact
        await self._at_home(lambda: channel.remember({"EC_CONTACT": contact.id, "EC_ROLE": Role.CALLER.value}))
        await self._at_home(channel.answer)
        flow = self._script.flow(contact.dialled)
        left = await run(flow, channel, self._record, self._clock.seconds, contact, self._script.sounds)
        if isinstance(left, ToQueue):
            await self._queue(self._distributor.queues[left.queue])
        else:
            self._outcome = Outcome.SELF_SERVED

    async def _at_home(self, do: Callable[[], Awaitable[None]]) -> None:
        """Do it on the caller's leg, as often as it takes while the leg comes and goes."""
        while True:
            try:
                return await do()
            except Taken:
                await self._channel.home()

    # In a queue

    async def _queue(self, queue: Queue) -> None:
        contact = self.contact
        contact.stage, contact.queue = Stage.WAITING, queue.id
        # The time of the place is the moment of entering: with a wait between, later ones could be overtaken.
        place = self._distributor.enter(WorkItem(contact.id, queue.id, self._clock.seconds(), contact.pbx))
        self._outcome = Outcome.ABANDONED
        try:
            async with background(self._company(queue, place)) as company:
                while not await self._offer(queue, place, await place.offer(), company):
                    contact.stage, contact.agent = Stage.WAITING, ""
        finally:
            place.leave()

    async def _company(self, queue: Queue, place: Place) -> None:
        """Keep on the leg where the caller waits and since when; then what the caller hears while waiting."""
        values = {"EC_Q": queue.id, "EC_T0": str(round(place.item.enqueued * 1000))}
        sounds = self._script.busy(queue, self.contact.data.get("language", ""))
        with suppress(HungUp):
            await self._at_home(lambda: self._channel.remember(values))
            await keep_company(self._channel, queue, sounds, place, self._clock.seconds)

    async def _offer(self, queue: Queue, place: Place, offer: Offer, company: Deferred[None]) -> bool:
        """Offer the caller to one agent; True when they have talked."""
        contact = self.contact
        contact.stage, contact.agent = Stage.OFFERED, offer.agent
        self._tell(Offered, offer, queue=queue.id, attempt=offer.attempt)
        try:
            leg = self._ring(queue, offer)
        except ValueError as error:
            log.error("agent {agent} cannot be rung: {error}", agent=offer.agent, error=error)
            self._offer_ended(offer, OfferOutcome.UNREACHABLE)
            return False
        try:
            conversation = await self._connect(leg, queue, place, offer)
            if conversation is None:
                return False
            company.cancel()
            await self._talk(leg, conversation, queue, place, offer)
            return True
        finally:
            leg.hang_up()

    def _ring(self, queue: Queue, offer: Offer) -> Channel:
        """Ring the agent's phone.  Raises ValueError when it must not be dialled."""
        contact = self.contact
        return self._switch.ring(
            offer.phone,
            leg=f"ec-{contact.id}-{Role.AGENT.value}-{offer.attempt}",
            caller=contact.caller,
            caller_name=contact.caller_name,
            seconds=queue.ring_seconds,
            values={"EC_CONTACT": contact.id, "EC_ROLE": Role.AGENT.value, "EC_AG": offer.agent},
        )

    async def _connect(self, leg: Channel, queue: Queue, place: Place, offer: Offer) -> Conversation | None:
        """Until the agent answers and both are bridged; None when the offer came to nothing."""
        outcome = OfferOutcome.CALLER_LEFT
        ringing = leg.when_ringing()
        ringing.addCallback(lambda _: self._pop(place, offer))
        try:
            await leg.answered()
            if not self._switch.up:
                with suppress(Taken):
                    await leg.music(queue.music)
            conversation = await self._switch.bridge(self._channel, leg)
            outcome = OfferOutcome.ANSWERED
            return conversation
        except NotAnswered as why:
            outcome = why.outcome
        except (BridgeFailed, HungUp):
            outcome = OfferOutcome.LOST
        finally:
            dropped(ringing)
            if outcome is not OfferOutcome.ANSWERED:
                leg.hang_up()
            self._offer_ended(offer, outcome)
        return None

    def _offer_ended(self, offer: Offer, outcome: OfferOutcome) -> None:
        """Tell how an offer ended; one that came to nothing is taken back from screen and agent."""
        self._tell(OfferEnded, offer, attempt=offer.attempt, outcome=outcome)
        if outcome is not OfferOutcome.ANSWERED:
            if self._popped == offer.attempt:
                self._tell(ScreenPopRevoked, offer, attempt=offer.attempt, outcome=outcome)
            offer.ended(outcome)

    def _pop(self, place: Place, offer: Offer) -> None:
        """The phone rings: the screen gets the caller's data with it."""
        contact = self.contact
        self._popped = offer.attempt
        offer.rings()
        self._tell(
            ScreenPop,
            offer,
            attempt=offer.attempt,
            caller=contact.caller,
            caller_name=contact.caller_name,
            dialled=contact.dialled,
            queue=contact.queue,
            waited=self._clock.seconds() - place.item.enqueued,
            answers=dict(contact.answers),
            data=dict(contact.data),
        )

    async def _talk(self, leg: Channel, conversation: Conversation, queue: Queue, place: Place, offer: Offer) -> None:
        """Caller and agent talk until one leaves."""
        self._outcome = Outcome.ANSWERED
        self.contact.stage = Stage.TALKING
        offer.talks()
        self._tell(Answered, offer, queue=queue.id, waited=self._clock.seconds() - place.item.enqueued)
        left_by = EndedBy.CALLER
        try:
            if await conversation.over() is leg:
                left_by = EndedBy.AGENT
        finally:
            self._ended_by = self._ended_by or left_by
            self._tell(TalkEnded, offer, ended_by=self._ended_by)
            offer.parted(queue.wrap_up_seconds)

    def _tell(self, event: type[Event], offer: Offer, **facts: Any) -> None:
        self._record(event(at=self._clock.seconds(), contact=self.contact.id, agent=offer.agent, **facts))
