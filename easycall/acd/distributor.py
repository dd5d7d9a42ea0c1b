"""The one place where contacts and agents meet: the waiting room at work.

Who gets whom is decided by the :class:`~easycall.acd.waiting_room.WaitingRoom`, which is told of everything that happens to
contacts and agents.  Choosing and reserving happen in one reactor turn, with no ``await`` between, so a reserved agent is
nobody else's and a contact is offered to one agent at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from datetime import tzinfo

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from easycall.acd.agent import NotNow, Step
from easycall.acd.attendance import Attendance, absence
from easycall.acd.decisions import Decision
from easycall.acd.offers import Offer, Place
from easycall.acd.routing import has_room
from easycall.acd.staff import Assignment, Staff
from easycall.acd.strategies import Strategies
from easycall.acd.waiting_room import Pair, WaitingRoom
from easycall.acd.why import AgentWhy, ContactWhy, why_agent, why_contact
from easycall.config import StrategySettings
from easycall.events import QueueAmended, Queued
from easycall.model import Agent, OfferOutcome, Queue
from easycall.policy import AT_DESK, Channel, WorkItem
from easycall.ports import Journal
from easycall.skills import Requirement

__all__ = ["Distributor"]

FRONT_SECONDS = 0.001
"""How much earlier than the first in line one joined who goes before."""


class Distributor:
    """All waiting contacts of this daemon, and the agents for them."""

    def __init__(
        self,
        queues: MutableMapping[str, Queue],
        staff: Staff,
        clock: IReactorTime,
        journal: Journal,
        strategies: Mapping[str, StrategySettings] = {},
    ) -> None:
        """``queues``: the same as the staff's; ``strategies``: those that they name."""
        self.queues = queues
        self.staff = staff
        self.strategies = Strategies(strategies, clock, journal)
        self.room = WaitingRoom()
        self._attendance = Attendance(self.room)
        self._clock = clock
        self._journal = journal
        self._places: dict[str, Place] = {}
        self._changed: dict[str, Agent] = {}
        """Agents of whom the waiting room has not heard yet."""
        self._look: IDelayedCall | None = None
        self._stopped = False
        for queue in queues.values():
            self.room.set_queue(queue.routing, clock.seconds())
        staff.when_changed(self._take_note)
        staff.when_freed(self._match)
        for agent in staff.agents.values():
            self._take_note(agent)

    @property
    def offers(self) -> bool:
        """False once stopped: nobody gets an offer any more."""
        return not self._stopped

    # The waiting room

    def enter(self, item: WorkItem, began: float | None = None, *, told: bool = False) -> Place:
        """Give an item its place, tell the journal, and look for an agent.

        ``began``: since when it waits, as the rules of the queue count; None: since it counts as having joined.
        ``told``: it waited there before this process began, and the journal knows.  Raises KeyError for an unknown queue,
        ValueError when the contact has a place already.
        """
        if item.queue not in self.queues:
            raise KeyError(item.queue)
        if item.contact in self._places:
            raise ValueError(f"contact {item.contact} is waiting already")
        now = self._clock.seconds()
        pairs = self._heard(now)
        pairs += self.room.enter(item, now)
        place = self._places[item.contact] = Place(self, item)
        if not told:
            self._tell_entered(item, item.enqueued if began is None else began, now)
        self._reserve(pairs)
        return place

    def enter_offered(self, item: WorkItem, rung: Sequence[tuple[str, int]]) -> tuple[Place, list[Offer]]:
        """Give an item its place that is offered to agents already, whose phones ring: agent, attempt.

        It was so before this process began, and the journal knows.  Raises as :meth:`enter`, and KeyError for an agent who
        is not held by the contact.
        """
        now = self._clock.seconds()
        pairs = self._heard(now)
        pairs += self.room.enter_offered(item, [agent for agent, _ in rung], now)
        place = self._places[item.contact] = Place(self, item)
        offers = [Offer(self, place, self.staff.agents[agent], attempt) for agent, attempt in rung]
        self._reserve(pairs)
        return place, offers

    def _tell_entered(self, item: WorkItem, began: float, now: float) -> None:
        self._journal.record(
            Queued(
                at=now,
                contact=item.contact,
                queue=item.queue,
                position=self.position(item.contact),
                since=item.enqueued,
                began=began,
                channel=item.channel,
                skills=item.requires.text,
                offset=item.offset,
                owner=item.owner,
                owner_until=item.owner_until,
            )
        )

    def amend(self, contact: str, *, offset: float | None, requires: Requirement | None, by: str) -> WorkItem:
        """Give a contact that waits another priority, or let it ask for other skills: counts at once; None: as before.

        ``by``: the name of the token that asks.  Raises KeyError when it does not wait.
        """
        place = self._places[contact]
        item = place.item
        item = evolve(
            item,
            offset=item.offset if offset is None else offset,
            requires=item.requires if requires is None else requires,
        )
        now = self._clock.seconds()
        said = item.requires.text
        event = QueueAmended(at=now, contact=contact, queue=item.queue, priority=item.offset, skills=said, by=by)
        self._journal.record(event)
        place.item = item
        pairs = self._heard(now)
        self._reserve(pairs + self.room.amend(contact, now, offset=offset, requires=requires))
        return item

    def set_queue(self, queue: Queue) -> None:
        """The queue of that id is this from now, for contacts that wait already too."""
        now = self._clock.seconds()
        self.queues[queue.id] = queue
        pairs = self._heard(now)
        self._reserve(pairs + self.room.set_queue(queue.routing, now))

    def waiting(self, queue: str) -> list[WorkItem]:
        """The items waiting in a queue, first in line first; those being offered to an agent are among them."""
        return [self._places[contact].item for contact in self.room.waiting_in(queue)]

    def length(self, queue: str) -> int:
        """How many wait in a queue, those being offered to an agent among them.  Raises KeyError."""
        return len(self.room.lines[queue].places)

    def position(self, contact: str) -> int:
        """The place of a contact in its queue, from 1.  Raises KeyError when it does not wait."""
        return self.room.position(contact)

    def ahead(self, contact: str) -> Mapping[str, int]:
        """Queue -> how many who look for an agent go before a contact (``""``: one who would join now).  Raises KeyError."""
        return self.room.ahead(contact)

    def looks_for(self, place: Place) -> bool:
        """True while an agent is still to be found for the contact of this place."""
        contact = place.item.contact
        return self._places.get(contact) is place and self.room.agent_of(contact) is None

    def forget(self, place: Place) -> None:
        """The place was given up."""
        contact = place.item.contact
        if self._places.get(contact) is place:
            del self._places[contact]
            self.room.leave(contact)

    def takes_it(self, place: Place, agent: str) -> None:
        """Of several agents who are rung for the contact of this place, this one is the first to answer."""
        if self._places.get(place.item.contact) is place:
            self.room.takes_it(place.item.contact, agent)

    def give_back(self, place: Place, agent: str, outcome: OfferOutcome) -> None:
        """An offer came to nothing: the contact looks for another agent, and the caller of this releases the agent."""
        contact = place.item.contact
        if outcome is OfferOutcome.CALLER_LEFT:
            self.forget(place)
        if self._places.get(contact) is place:
            now = self._clock.seconds()
            pairs = self._heard(now)
            until = self.staff.refusal(agent, outcome)[agent]
            self._reserve(pairs + self.room.refused(contact, agent, until, now))

    # A strategy's choice

    def ask_about(self, place: Place) -> Deferred[None] | None:
        """Ask the strategy of the queue who gets a contact for which an agent is reserved; None: nobody is asked."""
        name, contact = self.queues[place.item.queue].strategy, place.item.contact
        at_desk = place.item.channel in AT_DESK
        if not name or at_desk or self._stopped or self._places.get(contact) is not place:
            return None
        return self.strategies.ask(name, self.room, contact, lambda agent: self._reassign(place, agent))

    def _reassign(self, place: Place, agent: str) -> str:
        """Reserve another agent for a contact, if this one is free, and let the first go, all in this turn.

        The agent it is reserved for then; empty when it is for none any more.
        """
        contact, now = place.item.contact, self._clock.seconds()
        if self._places.get(contact) is not place or self._stopped:
            return ""
        first = self.room.agent_of(contact)
        if first is None or not agent:
            return first or ""
        pairs = self._heard(now)
        pairs += self.room.reassign(contact, agent, now)
        if self.room.agent_of(contact) == agent != first:
            self.staff.step(first, Step.RELEASED)
            self.staff.step(agent, Step.RESERVED, contact=contact)
            place.reserve_instead(self.staff.agents[agent])
        self._reserve([pair for pair in pairs if pair != (contact, agent)])
        self._match()
        return self._reassign(place, "")

    def take_back(self, place: Place, agent: str, outcome: OfferOutcome) -> None:
        """The same of an offer without a call, agent and all."""
        contact = place.item.contact
        if outcome is OfferOutcome.CALLER_LEFT:
            self.forget(place)
        else:
            self._attendance.refuses(contact, self.staff.refusal(agent, outcome)[agent])
        self.staff.desk_work.end(agent, contact, outcome)

    # Asked for

    def reserve_one_of(self, queue: str, contact: str, attempt: int, pbx: str = "") -> Assignment:
        """Hold the agent whom routing would choose for a contact that asks for anybody of a queue.  Raises NotNow."""
        if queue not in self.queues:
            raise NotNow(f"there is no queue {queue!r}")
        now = self._clock.seconds()
        self._reserve(self._heard(now))
        found = dict(self.room.enter(WorkItem(contact, queue, now, pbx), now))
        self.room.leave(contact)
        agent = found.pop(contact, "")
        self._reserve([*found.items()])  # of others, for whom something was due at this moment
        if not agent:
            raise NotNow(f"nobody is free in {queue}")
        return self.staff.reserve(agent, contact, attempt, pbx)

    def someone_free(self, queue: str, channel: Channel = Channel.CALL) -> bool:
        """True when an agent of the queue is ready now and has room for that kind; for a call the phone is ready, too."""
        agents = self.staff.agents.values()
        return any(queue in agent.queues and not absence(agent) and has_room(agent, channel) for agent in agents)

    def front(self, queue: str, priority: float = 0.0) -> float:
        """When one would have had to join a queue to be first in line; ``priority``: points it has of its own."""
        first = self.room.front(queue)
        behind = min(0.0, priority) / self.queues[queue].routing.rate
        return (self._clock.seconds() if first is None else first) + behind - FRONT_SECONDS

    # Why

    def why_contact(self, contact: str, zone: tzinfo, limit: int) -> ContactWhy | None:
        """Why a contact waits, with the first so many agents; times in words are of the zone.  None: it does not wait."""
        self._match()  # the waiting room may not have heard of everything yet
        now = self._clock.seconds()
        return why_contact(self.room, contact, now, zone, limit) if contact in self.room.items else None

    def why_agent(self, agent: str, zone: tzinfo, limit: int) -> AgentWhy | None:
        """Why an agent has none of the first so many that wait in the agent's queues.  None: the agent is logged out."""
        self._match()
        now = self._clock.seconds()
        return why_agent(self.room, agent, now, zone, limit) if agent in self.room.seats else None

    def decided(self, limit: int, *, contact: str = "", agent: str = "") -> list[Decision]:
        """The last decisions about a contact or an agent that are remembered, oldest first."""
        return self.room.decisions.of(contact=contact, agent=agent, limit=limit)

    # Matching

    def freeze(self, pbx: str) -> None:
        """Make no offers on this Asterisk: it cannot be told, or our picture of it is not right."""
        self.room.suspend("pbx", pbx, "its link is down")

    def thaw(self, pbx: str) -> None:
        """Offers on this Asterisk may be made again."""
        now = self._clock.seconds()
        pairs = self._heard(now)
        self._reserve(pairs + self.room.resume("pbx", pbx, now))

    def stop(self) -> None:
        """Make no more offers and drop the timers; calls and agents stay as they are."""
        self._stopped = True
        self.staff.stop()
        for place in self._places.values():
            place.ask_no_more()
        if self._look is not None and self._look.active():
            self._look.cancel()
        self._look = None

    def _take_note(self, agent: Agent) -> None:
        self._changed[agent.id] = agent

    def _heard(self, now: float) -> list[Pair]:
        """Let the waiting room know what happened to agents since it heard last: before it decides anything."""
        changed, self._changed = self._changed, {}
        return self._attendance.update(changed.values(), now)

    def _match(self) -> None:
        """Something may be possible that was not before: an agent changed, or the time has come."""
        if not self._stopped:
            now = self._clock.seconds()
            pairs = self._heard(now)
            self._reserve(pairs + self.room.due(now))

    def _reserve(self, pairs: Sequence[Pair]) -> None:
        if self._stopped:
            return
        for contact, agent in pairs:
            channel = self._channel(contact)
            if channel in AT_DESK:
                self.staff.desk_work.begin(agent, contact, channel)
            else:
                self.staff.step(agent, Step.RESERVED, contact=contact)
        # Whoever is left is rung beside them only when everybody who waits has been given one.
        beside = {contact: self._reserve_beside(contact) for contact, _ in pairs}
        self._look_again()
        for contact, agent in pairs:
            # Telling comes after all reserving: what a waiter does with its offer cannot disturb the choice.
            place, agents = self._places.get(contact), (agent, *beside[contact])
            if place is None:
                for one in agents:
                    self.staff.step(one, Step.RELEASED)
            else:
                place.reserve(*(self.staff.agents[one] for one in agents))

    def _reserve_beside(self, contact: str) -> Sequence[str]:
        """More agents for a contact of a queue that rings several at once."""
        place = self._places.get(contact)
        if place is None or place.item.channel is not Channel.CALL:
            return ()  # of what is no call yet, one agent is asked and then the customer is dialled
        most = self.room.lines[place.item.queue].policy.at_once - 1
        if not most:
            return ()
        found = self.room.reserve_beside(contact, most, self._clock.seconds())
        for agent in found:
            self.staff.step(agent, Step.RESERVED, contact=contact)
        return found

    def _channel(self, contact: str) -> Channel:
        place = self._places.get(contact)
        return Channel.CALL if place is None else place.item.channel

    def _look_again(self) -> None:
        if self._look is not None and self._look.active():
            self._look.cancel()
        when = self.room.next_due()
        self._look = None if when is None else self._clock.callLater(max(0.0, when - self._clock.seconds()), self._match)
