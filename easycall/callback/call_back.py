"""Who is to be called waits in line as a caller would, until the customer is there: one attempt of a callback, or a customer
who asked to be called now (``call_me``).

=================  ==================================================================================================
agent first        when its turn comes, the agent is rung, and the customer is dialled when the agent is there
customer first     when its turn comes, the agent is held, the customer is dialled, and the agent is rung for who answers
dialled ahead      the forecast says that an agent will be free: the customer is dialled before one is.  Who answers first
                   hears the waiting music at the same place; an agent who is free first is held for the customer
=================  ==================================================================================================

Whether the customer may be dialled is judged at the moment of dialling.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from easycall.acd.offers import Offer
from easycall.acd.staff import Assignment
from easycall.callback.desk import CallbackDesk
from easycall.defer import background, start
from easycall.events import DataAttached
from easycall.live import LiveContact
from easycall.mailbox import Letter
from easycall.model import CallbackRules, EndedBy, First, OfferOutcome, Outcome, Queue, Role, Stage
from easycall.outbound.call import NotReached, OutboundCall, decided, not_reached
from easycall.outbound.dialling import Route
from easycall.outbound.outsider import dial
from easycall.outbound.rules import NotDialled, Why
from easycall.ports import HungUp, NotAnswered, Taken
from easycall.talk import Course, Reach, Wait
from easycall.talk.alone import answer_alone, answer_letters
from easycall.verbs import NotNow
from easycall.work.line import RETRY_SECONDS, Line

__all__ = ["CallBack", "Turns"]

log = Logger()

ACCEPT = "1"
"""The key by which a customer accepts."""
ANSWERED_BY = "answered_by"
"""Attached data of this name says who answered, where that is listened for: ``person`` or ``machine``."""
PAUSE_SECONDS = 1.5
"""How long the key is waited for before the question is heard again: never so long that the line seems dead."""
SOON = frozenset({Why.NO_LINE, Why.NOT_READ})
"""Why a number is not dialled at this moment."""


class Turns(Protocol):
    """Who may be dialled before an agent is free."""

    def turn(self, contact: str, queue: str, not_before: float = 0.0) -> Deferred[None]:
        """Fires when the customer of a contact that waits in the queue may be dialled ahead.  Cancel it.

        ``not_before``: until then it waits for one agent alone, of whom the forecast says nothing.
        """

    def dialled(self, contact: str, queue: str) -> None:
        """The customer is dialled ahead: counted until the contact has an agent or ends."""


class CallBack:
    """How the customer is reached: see :meth:`easycall.visit.Visit.carry`."""

    def __init__(self, line: Line, desk: CallbackDesk | None = None, turns: Turns | None = None) -> None:
        """``desk``: None: it is no callback, and the agent is rung first; ``turns``: None: nobody is dialled ahead."""
        self._live: LiveContact = line.live
        self._line = line
        self._desk = desk
        self._turns = turns
        self._not_ahead = 0.0
        """Before this it is not dialled ahead."""

    async def reach(self) -> Course:
        """Until the customer is there; what becomes of the contact then.  Raises NotReached."""
        live, contact, refused = self._live, self._live.contact, None
        try:
            while True:
                found, refused = await self._line.agent_or(self._sooner, refused), None
                if found is None:
                    withdrawn = self._desk is not None and live.customer.gone
                    outcome = Outcome.CANCELLED if withdrawn else self._line.outcome
                    raise NotReached(outcome, contact.ended_by or EndedBy.SYSTEM)
                given = found if isinstance(found, Assignment) else None
                route = self._route(given)
                if route is None:
                    await self._for_trunk(given)
                    continue
                course = await self._try(route, given)
                if course is not None:
                    return course
                contact.agent = ""
                refused = given.refusal if given is not None else None
        finally:
            self._line.leave()

    @property
    def _first(self) -> First:
        return First.AGENT if self._desk is None else self._line.queue.callback.first

    def _sooner(self) -> Deferred[None]:
        """Fires when the customer may be dialled before there is an agent."""
        if self._turns is None or not self._line.queue.callback.dial_ahead or self._first is First.AGENT:
            return Deferred()
        place = self._line.place
        owned = place.item.owner_until if place is not None and place.item.owner else 0.0
        return self._turns.turn(self._live.contact.id, self._line.queue.id, max(owned, self._not_ahead))

    def _route(self, given: Assignment | None) -> Route | None:
        """How the customer is dialled, for this agent or (None) ahead; None: not now, but soon.  Raises NotReached."""
        contact, queue, agent = self._live.contact, self._line.queue, given.agent if given is not None else ""
        contact.agent, contact.queue = agent, queue.id
        if given is not None:
            contact.attempts = given.attempt
        try:
            self._check()
            rings = queue.callback.ring_seconds if self._desk is not None else 0.0
            route = self._live.dialling.route(contact.dialled, agent=agent, queue=queue, customer=True, seconds=rings)
        except NotReached:
            _let_go(given)
            raise
        except NotDialled as why:
            _let_go(given)
            log.warn("contact {contact} is not dialled: {why}", contact=contact.id, why=str(why))
            if why.why in SOON:
                return None
            if self._desk is not None:
                self._desk.not_dialled(contact.id, why)
            raise NotReached(Outcome.NOT_DIALLED, EndedBy.SYSTEM) from None
        self._live.switch, contact.pbx, contact.caller = route.switch, route.switch.name, route.caller_id
        return route

    async def _for_trunk(self, given: Assignment | None) -> None:
        """No line is free.  One that was to be dialled ahead stays where it stands, and is offered to agents."""
        self._live.contact.agent = ""
        if given is None:
            self._not_ahead = self._live.now() + RETRY_SECONDS
        else:
            await self._line.for_trunk()

    async def _try(self, route: Route, given: Assignment | None) -> Course | None:
        """Dial the customer; None when no agent was there, and it waits on.  Raises NotReached."""
        queue = self._line.queue
        if given is None:
            return await self._ahead(route, queue)
        if self._first is First.AGENT:
            return await self._agent_first(route, queue, given)
        self._dial(route)
        return await self._for_agent(queue, given)

    def _check(self) -> None:
        """Raises NotReached when the customer must not be dialled at this moment."""
        contact = self._live.contact.id
        if self._desk is None:
            return
        try:
            self._desk.check(contact)
        except NotNow as why:
            log.info("contact {contact} is not dialled now: {why}", contact=contact, why=str(why))
            raise NotReached(Outcome.NOT_DIALLED, EndedBy.SYSTEM) from None

    # The three ways

    async def _agent_first(self, route: Route, queue: Queue, given: Assignment) -> Course | None:
        how: dict[str, Any] = {"place": self._line.since, "check": self._check}
        if self._desk is not None:
            how["greet"] = partial(self._hears_first, queue.callback)
        call = OutboundCall(self._live, route, queue, First.AGENT, given, **how)
        try:
            return await call.reach()
        except NotReached as why:
            if why.outcome is not Outcome.NO_AGENT:
                raise
            return None

    async def _for_agent(self, queue: Queue, given: Assignment) -> Course:
        """The customer is dialled, and this agent is held; who is rung for who answers."""
        try:
            async with background(answer_letters(self._live)):
                await self._is_there(queue)
        except BaseException:
            _let_go(given)
            raise
        place = self._line.hand_over() if isinstance(given, Offer) else None
        return Reach(given, queue.id, "", self._line.since, place)

    async def _ahead(self, route: Route, queue: Queue) -> Course:
        """The customer is dialled, and agents may become free meanwhile."""
        live, place = self._live, self._line.place
        if place is None or self._turns is None:
            raise ValueError(f"contact {live.contact.id} does not wait")
        self._turns.dialled(live.contact.id, queue.id)
        self._dial(route)
        offers: list[Offer] = []
        while not offers:
            offered = place.offer().addCallback(offers.append)
            news = await live.news(start(decided(live.customer)), offered)
            if isinstance(news, Letter):
                answer_alone(live, news)
            elif not offers:
                async with background(answer_letters(live)):
                    await self._is_there(queue)
                return Wait(queue.id, place.item.enqueued, found=place.item, place=self._line.hand_over())
        [given] = offers
        live.contact.agent, live.contact.attempts = given.agent, given.attempt
        return await self._for_agent(queue, given)

    # The customer

    def _dial(self, route: Route) -> None:
        live = self._live
        live.at(Stage.DIALLING)
        live.customer = dial(live, route, live.contact.leg, Role.CALLER, "customer", live.contact.agent)

    async def _is_there(self, queue: Queue) -> None:
        """The customer has answered, and what is heard first was heard.  Raises NotReached."""
        live = self._live
        try:
            await live.customer.answered()
        except NotAnswered as why:
            raise not_reached(live, why) from None
        await self._hears_first(queue.callback)

    async def _hears_first(self, rules: CallbackRules) -> None:
        """What a customer hears who has answered, before an agent.  Raises NotReached."""
        live = self._live
        try:
            if rules.detect_machine:
                await self._listens()
            if rules.greeting:
                await self._hears(rules.greeting)
            if rules.accept and not await self._accepts(rules.accept, live.now() + rules.accept_seconds):
                raise NotReached(Outcome.MACHINE, EndedBy.SYSTEM)
        except HungUp:
            raise NotReached(Outcome.ABANDONED, live.contact.ended_by or EndedBy.CALLER) from None

    async def _listens(self) -> None:
        """Who is there, as far as Asterisk can tell: attached data of the name :data:`ANSWERED_BY`.  Raises HungUp."""
        live = self._live
        while True:
            try:
                await live.customer.home()
                if who := await live.customer.who_answered():
                    live.contact.data[ANSWERED_BY] = who
                    live.tell(DataAttached, data={ANSWERED_BY: who})
                return
            except Taken:
                continue

    async def _accepts(self, text: str, until: float) -> bool:
        """Whether the key is pressed in time."""
        while self._live.now() < until:
            if await self._hears(text, ACCEPT):
                return True
        return False

    async def _hears(self, text: str, key: str = "") -> bool:
        """Let the customer hear it; whether the key was pressed that ends it.  Raises HungUp."""
        live, customer = self._live, self._live.customer
        sounds = live.script.spoken(text, live.contact.data.get("language", ""))
        while True:
            try:
                await customer.home()
                pressed = await customer.play(sounds, key)
                return bool(key and (pressed or await customer.wait_key(PAUSE_SECONDS)) == key)
            except Taken:
                continue


def _let_go(given: Assignment | None) -> None:
    """The agent is not needed."""
    if given is not None:
        given.ended(OfferOutcome.CANCELLED)
