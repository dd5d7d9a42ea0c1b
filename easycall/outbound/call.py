"""A customer is called for an agent, until the two are about to talk; from then on it is a contact like any other.

==============  =====================================================================================================
customer first  the customer is dialled; who answers hears music at once and the agent, reserved all the time, is rung
agent first     the agent is rung, hears music, and the customer is dialled; the two are joined when the customer answers
==============  =====================================================================================================

A customer who has answered is never hung up for an agent who does not: the contact is then first in line.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import cast

from attrs import field, frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from easycall.acd.staff import Assignment
from easycall.defer import Bell, background, first, start
from easycall.events import Offered, OfferEnded
from easycall.live import LiveContact, keep_music
from easycall.mailbox import Letter
from easycall.model import DialOutcome, EndedBy, First, OfferOutcome, Outcome, Queue, Role, Stage
from easycall.outbound.dialling import Route
from easycall.outbound.outcome import outcome_of
from easycall.outbound.outsider import dial
from easycall.ports import BridgeFailed, Channel, HungUp, NotAnswered, Switch
from easycall.talk import Course, Joined, Reach, Side, Wait, ring
from easycall.talk.alone import answer_letters, answer_rung
from easycall.verbs import NotNow

__all__ = ["CallOut", "NotReached", "OutboundCall", "decided", "not_reached", "nowhere", "undialled"]

log = Logger()


@frozen
class CallOut:
    """A call that is asked for."""

    agent: str
    number: str
    """As typed."""
    queue: str
    """Whose rules hold: music, ring time, wrap-up, caller id, and who else may take the customer."""
    first: First = First.CUSTOMER
    caller_id: str = ""
    """The number shown; empty: the queue's or the trunk's."""
    data: Mapping[str, str] = field(factory=dict)
    """Data that travels with the contact."""


class NotReached(Exception):
    """The customer was not reached: the contact is over."""

    def __init__(self, outcome: Outcome, ended_by: EndedBy) -> None:
        super().__init__(outcome.value)
        self.outcome = outcome
        self.ended_by = ended_by


class _Undialled:
    """The customer's leg before it is dialled: it can be given up, and nothing else can be asked of it."""

    end_seen = True
    """It cannot go unseen."""
    died_of = ""
    """It does not die."""

    def __init__(self, leg: str) -> None:
        self.id = leg
        self._gone = Bell()

    @property
    def gone(self) -> bool:
        """True once it was given up."""
        return self._gone.rung

    def when_gone(self) -> Deferred[None]:
        """Fires when it is given up."""
        return self._gone.wait()

    def hang_up(self, *, elsewhere: bool = False) -> None:
        """Give it up."""
        self._gone.ring()


def undialled(leg: str) -> Channel:
    """A customer's leg that is not dialled yet."""
    return cast(Channel, _Undialled(leg))


class _Nowhere:
    """The Asterisk of a contact that is on none."""

    name = ""
    up = True


def nowhere() -> Switch:
    """The call control of a contact that has no leg, or none yet."""
    return cast(Switch, _Nowhere())


class OutboundCall:
    """One call to a customer."""

    def __init__(
        self,
        live: LiveContact,
        route: Route | None,
        queue: Queue,
        whose: First,
        agent: Assignment | None = None,
        *,
        place: float | None = None,
        check: Callable[[], None] = lambda: None,
        greet: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """``live``: with a customer who is not dialled yet, and the agent who can be reserved; ``agent``: who is already.
        ``route``: None: the customer was dialled before this process began, see :meth:`goes_on`; ``place``: since when a
        customer counts as waiting whom the agent does not take, None: from the front of the queue; ``check``: asked at the
        moment of dialling, raises NotReached when that must not be done; ``greet``: what a customer hears first, while the
        agent waits, raises NotReached when nobody is there after all."""
        self._live = live
        self._route = route
        self._queue = queue
        self._whose = whose
        self._agent = agent
        self._place = place
        self._check = check
        self._greet = greet
        self._dialled = route is None

    async def reach(self) -> Course:
        """Until the customer is there; what becomes of the contact then.  Raises NotReached."""
        contact, own_wish = self._live.contact, self._whose is First.AGENT
        try:
            wanted = contact.agent, contact.id, contact.attempts, contact.pbx
            agent = self._agent or self._live.staff.reserve(*wanted, own_wish=own_wish)
            return await (self._agent_first(agent) if own_wish else self._customer_first(agent))
        except NotNow:  # reserved by somebody else who heard of this call
            raise NotReached(Outcome.NO_AGENT, EndedBy.SYSTEM) from None
        finally:
            if not self._dialled and self._route is not None:
                self._route.release()

    async def goes_on(self, agent: Side | Assignment | None) -> Course:
        """The same when a process before us dialled the customer; ``agent``: who waits for the customer, or is reserved.

        Raises NotReached.
        """
        live = self._live
        live.at(Stage.DIALLING)
        if isinstance(agent, Side):
            return await self._while_agent_waits(agent)
        if agent is not None:
            return await self._customer_first(agent)
        return await self._nobody_waits()

    async def agent_is_rung(self, side: Side) -> Course:
        """The same when a process before us rang the agent, for a customer who was not dialled yet.  Raises NotReached."""
        try:
            self._live.at(Stage.OFFERED)
            await self._until_answered(side)
            side.waits()
            return await self._while_agent_waits(side)
        finally:
            if not self._dialled and self._route is not None:
                self._route.release()

    async def _nobody_waits(self) -> Course:
        live = self._live
        async with background(answer_letters(live)):
            await self._customer_answers()
        return self._wait()

    def _wait(self) -> Wait:
        """The customer is there, and no agent."""
        front = self._live.distributor.front(self._queue.id, self._live.contact.priority)
        return Wait(self._queue.id, front if self._place is None else self._place)

    async def _customer_first(self, agent: Assignment) -> Course:
        try:
            async with background(answer_letters(self._live)):
                self._dial()
                await self._customer_answers()
        except BaseException:
            agent.ended(OfferOutcome.CANCELLED)
            raise
        return Reach(agent, self._queue.id, by="", enqueued=self._place)

    async def _agent_first(self, agent: Assignment) -> Course:
        side = await self._agent_answers(agent)
        side.waits()
        return await self._while_agent_waits(side)

    async def _while_agent_waits(self, side: Side) -> Course:
        live, queue = self._live, self._queue
        try:
            async with background(keep_music(side.leg, queue.music)), background(answer_letters(live)):
                self._dial()
                customer = live.customer
                if await first(start(decided(customer)), side.leg.when_gone()) == 1 and not customer.gone:
                    live.contact.ended_by = live.contact.ended_by or EndedBy.AGENT
                    customer.hang_up()
                await self._customer_answers()
                if self._greet is not None:
                    await self._greet()
                return await self._join(side)
        except BaseException:
            side.leave(OfferOutcome.CALLER_LEFT)
            raise

    def _dial(self) -> None:
        live = self._live
        if self._route is None:
            return
        self._check()
        live.at(Stage.DIALLING)
        live.customer = dial(live, self._route, live.contact.leg, Role.CALLER, "customer", live.contact.agent)
        self._dialled = True

    async def _customer_answers(self) -> None:
        try:
            await self._live.customer.answered()
        except NotAnswered as why:
            raise not_reached(self._live, why) from None

    async def _agent_answers(self, assignment: Assignment) -> Side:
        """The agent's phone is rung first; an agent who does not take it costs nobody anything."""
        live = self._live
        live.at(Stage.OFFERED)
        live.tell(Offered, assignment.agent, queue=self._queue.id, attempt=assignment.attempt)
        try:
            side = ring(live, assignment, self._queue, since=live.now())
        except ValueError as error:
            log.error("agent {agent} cannot be rung: {error}", agent=assignment.agent, error=error)
            self._offer_ended(assignment, OfferOutcome.UNREACHABLE)
            assignment.ended(OfferOutcome.UNREACHABLE)
            raise NotReached(Outcome.NO_AGENT, EndedBy.AGENT) from None
        await self._until_answered(side)
        return side

    async def _until_answered(self, side: Side) -> None:
        """Until the agent answers; else the agent is let go.  Raises NotReached."""
        live, outcome = self._live, OfferOutcome.CANCELLED
        try:
            while isinstance(news := await live.news(start(side.answered()), live.customer.when_gone()), Letter):
                answer_rung(live, [side], news)
            if news == 1:
                raise NotReached(Outcome.CANCELLED, live.contact.ended_by or EndedBy.API)
            outcome = await side.answered()
            if outcome is not OfferOutcome.ANSWERED:
                raise NotReached(Outcome.NO_AGENT, EndedBy.AGENT)
        finally:
            self._offer_ended(side.assignment, outcome)
            if outcome is not OfferOutcome.ANSWERED:
                side.leave(outcome)

    def _offer_ended(self, assignment: Assignment, outcome: OfferOutcome) -> None:
        self._live.tell(OfferEnded, assignment.agent, attempt=assignment.attempt, outcome=outcome)

    async def _join(self, side: Side) -> Course:
        """The customer is there: with the agent, or first in line."""
        live, queue = self._live, self._queue
        since = live.now()
        try:
            # Music for the customer too: the link to Asterisk may be away just now.
            async with background(keep_music(live.customer, queue.music)):
                await live.recorder.prepare(queue)
                conversation = await live.switch.bridge(live.customer, side.leg)
        except (BridgeFailed, HungUp):
            side.leave(OfferOutcome.LOST)
            return self._wait()
        return Joined(side, conversation, queue.id, since)


def not_reached(live: LiveContact, why: NotAnswered) -> NotReached:
    """What it means for the contact that the customer did not answer."""
    if live.contact.ended_by is not None:
        return NotReached(Outcome.CANCELLED, live.contact.ended_by)
    outcome = outcome_of(why.outcome, why.cause)
    if outcome is DialOutcome.LOST:
        return NotReached(Outcome.FAILED, EndedBy.SYSTEM)
    return NotReached(Outcome(outcome.value), EndedBy.NETWORK)


async def decided(leg: Channel) -> None:
    """Wait until a leg that was dialled is answered, or will not be."""
    try:
        await leg.answered()
    except NotAnswered:
        return
