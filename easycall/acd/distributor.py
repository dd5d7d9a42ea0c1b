"""The waiting room: the one place where contacts and agents meet.

Choosing and reserving happen in one reactor turn, in :meth:`Distributor._match`, with no ``await`` between, so a reserved
agent is nobody else's and a contact is offered to one agent at a time.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from easycall.acd import routing
from easycall.acd.agent import NotNow, Step
from easycall.acd.staff import Assignment, Staff
from easycall.events import Queued
from easycall.model import Agent, AgentState, OfferOutcome, Queue, WorkItem
from easycall.ports import Journal

__all__ = ["Distributor", "Offer", "Place"]

FRONT_SECONDS = 0.001
"""How much earlier than the first in line one joined who goes before."""


class Offer(Assignment):
    """An agent chosen for a contact that waits."""

    def __init__(self, distributor: Distributor, place: Place, agent: Agent, attempt: int) -> None:
        super().__init__(distributor.staff, agent, attempt)
        self._distributor = distributor
        self._place = place

    def ended(self, outcome: OfferOutcome) -> None:
        """The offer came to nothing: the agent is released and the contact has its old place again."""
        self._distributor.give_back(self._place, self.agent, outcome)
        super().ended(outcome)

    def talks(self, queue: str) -> None:
        """Agent and caller are together: the contact leaves the waiting room."""
        super().talks(queue)
        self._place.leave()


class Place:
    """A contact's place in the waiting room."""

    def __init__(self, distributor: Distributor, item: WorkItem) -> None:
        self._distributor = distributor
        self.item = item
        self.attempts = item.attempts
        self._offer: Offer | None = None
        self._waiter: Deferred[Offer] | None = None

    @property
    def reserved(self) -> bool:
        """True while an agent is reserved for the contact, until the offer is ended."""
        return not self._distributor.looks_for(self)

    def offer(self) -> Deferred[Offer]:
        """The next offer; the agent is reserved when it fires.  Cancel it to stop waiting (the place is kept)."""
        waiter: Deferred[Offer] = Deferred(self._stop_waiting)
        if self._offer is not None:
            offer, self._offer = self._offer, None
            waiter.callback(offer)
        else:
            self._waiter = waiter
        return waiter

    def reserve(self, agent: Agent) -> None:
        """The distributor chose ``agent``."""
        self.attempts += 1
        offer = Offer(self._distributor, self, agent, self.attempts)
        if self._waiter is None:
            self._offer = offer
        else:
            waiter, self._waiter = self._waiter, None
            waiter.callback(offer)

    def leave(self) -> None:
        """Give the place up.  An offer nobody took yet releases its agent.  A second time does nothing."""
        if self._offer is not None:
            offer, self._offer = self._offer, None
            offer.ended(OfferOutcome.CALLER_LEFT)
        self._distributor.forget(self)

    def _stop_waiting(self, waiter: Deferred[Offer]) -> None:
        self._waiter = None


class Distributor:
    """All waiting contacts of this daemon, and the agents for them."""

    def __init__(self, queues: Mapping[str, Queue], staff: Staff, clock: IReactorTime, journal: Journal) -> None:
        self.queues = queues
        self.staff = staff
        self._clock = clock
        self._journal = journal
        self._places: dict[str, Place] = {}
        self._waiting: dict[str, WorkItem] = {}
        self._frozen: set[str] = set()
        self._look: IDelayedCall | None = None
        self._stopped = False
        staff.when_freed(self._match)

    # The waiting room

    def enter(self, item: WorkItem) -> Place:
        """Give an item its place, tell the journal, and look for an agent.

        Raises KeyError for an unknown queue, ValueError when the contact has a place already.
        """
        if item.queue not in self.queues:
            raise KeyError(item.queue)
        if item.contact in self._places:
            raise ValueError(f"contact {item.contact} is waiting already")
        place = self._places[item.contact] = Place(self, item)
        self._waiting[item.contact] = item
        self._journal.record(
            Queued(
                at=self._clock.seconds(),
                contact=item.contact,
                queue=item.queue,
                position=self.position(item.contact),
                since=item.enqueued,
            )
        )
        self._match()
        return place

    def waiting(self, queue: str) -> list[WorkItem]:
        """The items waiting in a queue, first in line first; those being offered to an agent are among them."""
        return routing.in_order(place.item for place in self._places.values() if place.item.queue == queue)

    def position(self, contact: str) -> int:
        """The place of a contact in its queue, from 1.  Raises KeyError when it does not wait."""
        line = self.waiting(self._places[contact].item.queue)
        return 1 + [item.contact for item in line].index(contact)

    def ahead(self, contact: str) -> Mapping[str, int]:
        """Queue -> how many who look for an agent go before a contact that waits; ``""``: before one who joins now.
        Raises KeyError when the contact does not wait."""
        mine = routing.rank(self._places[contact].item) if contact else (math.inf, "")
        return Counter(item.queue for item in self._waiting.values() if routing.rank(item) < mine)

    def looks_for(self, place: Place) -> bool:
        """True while an agent is still to be found for the contact of this place."""
        return place.item.contact in self._waiting

    def forget(self, place: Place) -> None:
        """The place was given up."""
        contact = place.item.contact
        if self._places.get(contact) is place:
            del self._places[contact]
            self._waiting.pop(contact, None)

    def give_back(self, place: Place, agent_id: str, outcome: OfferOutcome) -> None:
        """An offer came to nothing: the contact looks for an agent again (releasing the agent matches, in the same turn)."""
        now = self._clock.seconds()
        contact = place.item.contact
        if outcome is OfferOutcome.CALLER_LEFT:
            self.forget(place)
        if self._places.get(contact) is place:
            refused = {agent: until for agent, until in place.item.refused.items() if until > now}
            refused |= self.staff.refusal(agent_id, outcome)
            place.item = self._waiting[contact] = evolve(place.item, refused=refused)

    def reserve_one_of(self, queue: str, contact: str, attempt: int, pbx: str = "") -> Assignment:
        """Hold the agent whom routing would choose for a contact that asks for anybody of a queue.  Raises NotNow."""
        if queue not in self.queues:
            raise NotNow(f"there is no queue {queue!r}")
        item = WorkItem(contact, queue, self._clock.seconds(), pbx)
        pairs = routing.match([item], self.staff.agents.values(), (), self._clock.seconds())
        if not pairs:
            raise NotNow(f"nobody is free in {queue}")
        return self.staff.reserve(pairs[0].agent, contact, attempt, pbx)

    def someone_free(self, queue: str) -> bool:
        """True when an agent of the queue is ready now, and the agent's phone is."""
        ready = (agent for agent in self.staff.agents.values() if agent.state is AgentState.READY and queue in agent.queues)
        return any(not routing.hindrance(agent) for agent in ready)

    def front(self, queue: str) -> float:
        """When one would have had to join a queue to be first in line."""
        now = self._clock.seconds()
        return min((item.enqueued for item in self.waiting(queue)), default=now + FRONT_SECONDS) - FRONT_SECONDS

    # Matching

    def freeze(self, pbx: str) -> None:
        """Make no offers on this Asterisk: it cannot be told, or our picture of it is not right."""
        self._frozen.add(pbx)

    def thaw(self, pbx: str) -> None:
        """Offers on this Asterisk may be made again."""
        self._frozen.discard(pbx)
        self._match()

    def stop(self) -> None:
        """Make no more offers and drop the timers; calls and agents stay as they are."""
        self._stopped = True
        self.staff.stop()
        if self._look is not None and self._look.active():
            self._look.cancel()
        self._look = None

    def _match(self) -> None:
        if self._stopped:
            return
        now = self._clock.seconds()
        pairs = routing.match(self._waiting.values(), self.staff.agents.values(), self._frozen, now)
        for pair in pairs:
            del self._waiting[pair.contact]
            self.staff.step(pair.agent, Step.RESERVED, contact=pair.contact)
        for pair in pairs:
            # Telling comes after all reserving: what a waiter does with its offer cannot disturb the choice.
            place = self._places.get(pair.contact)
            if place is None:
                self.staff.step(pair.agent, Step.RELEASED)
            else:
                place.reserve(self.staff.agents[pair.agent])
        self._look_again(now)

    def _look_again(self, now: float) -> None:
        if self._look is not None and self._look.active():
            self._look.cancel()
        when = routing.next_look(self._waiting.values(), now)
        self._look = None if when is None else self._clock.callLater(when - now, self._match)
