"""A contact without a leg waits in a queue, until an agent is offered to it or it waits no more.

Chats and those who want to be called obey the rules of the queue as a caller does.  What nobody stays on the line for, a
message, a voice mail, a fax or a callback, waits on: only rules that send it to another queue hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from math import inf
from typing import TypeAlias

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from easycall.acd.desk_work import DeskAssignment
from easycall.acd.offers import Offer, Place
from easycall.acd.staff import Assignment
from easycall.events import Picked, QueueOverflowed
from easycall.live import LiveContact
from easycall.mailbox import Letter
from easycall.model import EndedBy, Outcome, OverflowRule, OverflowTo, Queue, Stage
from easycall.overflow import OUTCOMES, OVERFLOW_LIMIT, Overflow
from easycall.policy import AT_DESK, PATIENT, Channel, WorkItem
from easycall.talk.alone import answer_alone
from easycall.verbs import NotNow, Pick

__all__ = ["SOONER", "Given", "Line", "Sooner", "reserve"]

Given: TypeAlias = Assignment | DeskAssignment
"""An agent the contact is offered to."""


class Sooner(Enum):
    """The only one of its kind: see :meth:`Line.agent_or`."""

    SOONER = "sooner"


SOONER = Sooner.SOONER

RESTORED_SECONDS = 120.0
"""So long after a start no rule holds for what waited before: the agents have to log in again."""

RETRY_SECONDS = 15.0
"""How long after a number could not be dialled, as no line was free, it is tried again anyway."""
JUDGED_EVERY = 3600.0
"""How long one wait lasts before the rules of the queue are looked at again anyway."""


class Line:
    """Where one contact stands in line."""

    def __init__(
        self,
        live: LiveContact,
        overflow: Overflow,
        queue: str,
        since: float,
        pbx: str = "",
        *,
        owner: str = "",
        restored: bool = False,
    ) -> None:
        """``pbx``: the Asterisk where the agent will be rung; empty: on none, or any; ``owner``: for whom alone it waits at
        first; ``restored``: it waited before the daemon started."""
        self.live = live
        self.since = since
        """Since when it counts as waiting."""
        self.outcome = Outcome.ABANDONED
        """What has become of it when no agent is offered any more."""
        self._overflow = overflow
        self._pbx = pbx
        self._queue = queue
        self._owner = owner
        self._entering = True
        self._overflowed = 0
        self._judged_from = live.now() + RESTORED_SECONDS if restored else 0.0
        self._place: Place | None = None

    @property
    def queue(self) -> Queue:
        """The queue it waits in now, or came from."""
        return self.live.distributor.queues[self._queue]

    @property
    def place(self) -> Place | None:
        """Where it waits; None: it does not."""
        return self._place

    def leave(self) -> None:
        """It does not wait any more; a second time does nothing."""
        place, self._place = self._place, None
        if place is not None:
            place.leave()

    def hand_over(self) -> Place:
        """Somebody else looks after its place from now on.  Raises ValueError when it has none."""
        place, self._place = self._place, None
        if place is None:
            raise ValueError(f"contact {self.live.contact.id} does not wait")
        return place

    def goes_to(self, queue: str, since: float) -> None:
        """From now it waits there, when it waits."""
        self.leave()
        self._queue, self.since, self._entering = queue, since, True

    async def agent(self, refused: Mapping[str, float] | None = None) -> Given | None:
        """The next agent it is offered to; None: it is over.

        ``refused``: agents who did not take it though it did not wait -> until when it is not offered to them.
        """
        found = await self.agent_or(None, refused)
        return found if found is not SOONER else None

    async def agent_or(
        self, sooner: Callable[[], Deferred[None]] | None, refused: Mapping[str, float] | None = None
    ) -> Given | Sooner | None:
        """The same; :data:`SOONER` when what ``sooner`` gives fires before there is an agent: it waits on in its place."""
        live = self.live
        while True:
            if live.customer.gone:
                return None
            rule = self._judge()
            if isinstance(rule, OverflowRule) and not (self._place is not None and self._place.reserved):
                if not self._obey(rule):
                    return None
                continue
            place = self._place or self._enter(refused or {})
            if live.contact.stage is not Stage.WAITING:
                live.contact.agent = ""
                live.at(Stage.WAITING)
            until = min(live.now() if isinstance(rule, OverflowRule) else rule, live.now() + JUDGED_EVERY)
            offers: list[Offer] = []
            offered = place.offer().addCallback(offers.append)
            events = [live.customer.when_gone(), offered, self._overflow.may_change(self.queue, until)]
            news = await live.news(*events, *([sooner()] if sooner is not None else []))
            if offers and not isinstance(news, Letter):
                return offers[0]
            if news == len(events):
                return SOONER
            if isinstance(news, Letter) and (picked := self._answer(news)) is not None:
                return picked

    async def for_trunk(self) -> None:
        """Stay away from the line until the number may be dialled: a trunk's line is given back, or some time has passed.

        Its place is kept.  Who waits like this is in nobody's way: those behind it are served meanwhile.
        """
        live = self.live
        self.leave()
        live.at(Stage.WAITING)
        until = live.now() + RETRY_SECONDS
        while True:
            over: Deferred[None] = deferLater(live.clock, max(0.0, until - live.now()))
            free = live.dialling.when_line(live.contact.dialled, self.since)
            news = await live.news(live.customer.when_gone(), over, free)
            if not isinstance(news, Letter):
                return
            answer_alone(live, news)

    def _judge(self) -> OverflowRule | float:
        if self.live.now() < self._judged_from:
            return self._judged_from
        queue, entering = self.queue, self._entering
        if self.live.contact.channel in (*PATIENT, Channel.CALLBACK):
            onward = tuple(rule for rule in queue.overflow if rule.to is OverflowTo.QUEUE)
            queue = evolve(queue, overflow=onward, max_wait_seconds=inf)
        return self._overflow.judge(queue, self.since, entering=entering)

    def _enter(self, refused: Mapping[str, float]) -> Place:
        live, contact = self.live, self.live.contact
        contact.queue, contact.agent = self._queue, ""
        item = WorkItem(
            contact.id,
            self._queue,
            self.since,
            self._pbx,
            contact.channel,
            requires=contact.skills,
            offset=contact.priority,
            owner=self._owner,
            owner_until=live.now() + self.queue.callback.owner_seconds if self._owner else 0.0,
            refused=refused,
            attempts=contact.attempts,
        )
        self._entering = False
        self._place = live.distributor.enter(item)
        return self._place

    def _obey(self, rule: OverflowRule) -> bool:
        """A rule does not let it wait here; whether it waits elsewhere."""
        live, queue = self.live, self._queue
        self.leave()
        live.contact.queue = queue
        waited = round(max(0.0, live.now() - self.since), 3)
        live.tell(QueueOverflowed, queue=queue, to=rule.place, rule=rule.when, waited=waited)
        self.outcome = OUTCOMES.get(rule.when, Outcome.OVERFLOWED)
        self._overflowed += 1
        if rule.to is not OverflowTo.QUEUE or self._overflowed > OVERFLOW_LIMIT:
            live.contact.ended_by = live.contact.ended_by or EndedBy.FLOW
            return False
        self.outcome = Outcome.ABANDONED
        self.goes_to(rule.target, self.since)
        return True

    def _answer(self, letter: Letter) -> Given | None:
        """What is asked meanwhile; an agent who picks the contact."""
        live, contact = self.live, self.live.contact
        if not isinstance(letter.verb, Pick):
            answer_alone(live, letter)
            return None
        try:
            given = reserve(live, letter.verb.agent, self._pbx)
        except NotNow as why:
            letter.refused(str(why))
            return None
        live.tell(Picked, given.agent)
        self.leave()
        contact.agent = given.agent
        live.at(Stage.OFFERED)
        letter.done()
        return given


def reserve(live: LiveContact, agent: str, pbx: str = "") -> Given:
    """Hold this agent for the contact.  Raises NotNow."""
    contact, attempt = live.contact, live.contact.attempts + 1
    given: Given
    if contact.channel in AT_DESK:
        given = live.staff.desk_work.reserve(agent, contact.id, contact.channel, attempt)
    else:
        given = live.staff.reserve(agent, contact.id, attempt, pbx)
    contact.attempts = attempt
    return given
