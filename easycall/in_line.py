"""One contact in line: company while it waits, what its queue's rules do with it, the agents it is offered to.

What comes of it is a :data:`~easycall.talk.Course`; :mod:`easycall.visit` follows it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

from attrs import evolve
from twisted.internet.defer import Deferred

from easycall.acd.offers import Offer, Place
from easycall.company import Exits, keep_company, sayings
from easycall.defer import background
from easycall.events import Offered, QueueLeft, QueueOverflowed
from easycall.joining import Joining
from easycall.live import LiveContact
from easycall.mailbox import Letter
from easycall.model import Outcome, OverflowRule, Queue, Stage
from easycall.offering import connect, ring_agent
from easycall.overflow import OUTCOMES, OVERFLOW_LIMIT, Overflow, course_of, out_of_music
from easycall.ports import HungUp
from easycall.talk import Course, Reach, RunFlow, Talk, Wait
from easycall.talk.alone import answer_alone, pick
from easycall.verbs import Pick

__all__ = ["InLine"]

ASKING_SECONDS = 0.2
"""How soon an overflow rule is looked at again that holds while a strategy is asked who gets the contact."""


class InLine:
    """See the module."""

    def __init__(
        self,
        live: LiveContact,
        joining: Joining,
        overflow: Overflow,
        becomes: Callable[[Outcome], None],
        talks: Callable[[Talk], Awaitable[Course]],
    ) -> None:
        """``becomes``: told what has become of the contact if nothing more does; ``talks``: agent and customer are together,
        and talk until one leaves."""
        self._live = live
        self._joining = joining
        self._overflow = overflow
        self._becomes = becomes
        self._talks = talks
        self.overflowed = 0
        """How often a queue did not keep it."""
        self.kept: dict[str, float] = {}
        """Queue -> when it joined, of those the caller left by a key before anybody answered."""

    async def wait(self, wait: Wait) -> Course:
        """Until an agent and the customer have talked, or it waits here no more; what becomes of it then."""
        live, contact = self._live, self._live.contact
        queue = live.distributor.queues[wait.queue]
        item = wait.found or await self._joining.item(live, wait, queue)
        since = live.now() if wait.since is None else wait.since
        entering = wait.enqueued is None or wait.overflowed
        if wait.enqueued is None:
            resumed = self._joining.resumed(live, item, queue)
            item, entering = resumed, resumed is item
        joined = item.enqueued
        if isinstance(rule := self._overflow.judge(queue, since, entering=entering), OverflowRule):
            if wait.place is not None:
                wait.place.leave()
            return await self._sent_on(self._goes(queue, rule, joined, since))
        live.at(Stage.WAITING)
        place = wait.place or live.distributor.enter(item, since, told=wait.found is not None)
        self._becomes(Outcome.ABANDONED)
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
                        return await self._talks(talk)
                    else:
                        contact.agent = ""
                        live.at(Stage.WAITING)
        finally:
            place.leave()
        return await self._sent_on(course)

    async def _sent_on(self, course: Course) -> Course:
        """To another queue it goes with the music it hears."""
        if not isinstance(course, Wait):
            await out_of_music(self._live)
        return course

    def _goes(self, queue: Queue, rule: OverflowRule, joined: float, since: float) -> Course:
        """The contact does not stay in the queue."""
        self.overflowed += 1
        if self.overflowed > OVERFLOW_LIMIT:
            raise RuntimeError(f"queue {queue.id}: its overflow leads back to it, through flows")
        self._live.tell(
            QueueOverflowed, queue=queue.id, to=rule.place, rule=rule.when, waited=round(self._live.now() - since, 3)
        )
        self._becomes(OUTCOMES.get(rule.when, Outcome.OVERFLOWED))
        return course_of(rule, joined, since)

    def _by_key(self, flow: RunFlow, place: Place, key: str) -> Course:
        """The caller leaves the line by a key; the place is kept for when the flow leads back."""
        queue, joined = place.item.queue, place.item.enqueued
        place.leave()
        self.kept[queue] = joined
        self._live.tell(QueueLeft, queue=queue, waited=round(self._live.now() - joined, 3))
        return evolve(flow, waited=evolve(flow.waited, pressed=key) if flow.waited is not None else None)

    async def _news_of(self, place: Place, exits: Exits, again: Deferred[None]) -> Letter | Offer | None:
        """Wait for the next offer, or for the next verb; None: a key that leads on was pressed, or another rule may hold."""
        offers: list[Offer] = []
        events = [again] if exits.used.rung else [again, exits.used.wait()]
        news = await self._live.news(place.offer().addCallback(offers.append), *events)
        return news if isinstance(news, Letter) else offers[0] if offers else None

    async def _company(self, queue: Queue, place: Place, exits: Exits) -> bool:
        """Keep on the leg where the caller waits and since when; then what the caller hears while waiting.

        True: the caller leaves by a key.
        """
        live = self._live
        values = {"EC_Q": queue.id, "EC_T0": str(round(place.item.enqueued * 1000))}
        with suppress(HungUp):
            await live.at_home(lambda: live.customer.remember(values))
            return await keep_company(live.customer, queue.music, sayings(live, queue, place), place, live.now, exits)
        return False

    async def _offer(self, queue: Queue, place: Place, offer: Offer) -> Talk | None:
        """Offer the caller to one agent, or to several at once; None when it came to nothing."""
        live, contact = self._live, self._live.contact
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
