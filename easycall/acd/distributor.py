"""The waiting room: the one place where contacts and agents meet.

Choosing and reserving happen in one reactor turn, in :meth:`Distributor._match`, with no ``await`` between, so a reserved
agent is nobody else's and a contact is offered to one agent at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from easycall.acd import routing
from easycall.acd.agent import BUSY, NotNow, Step, after
from easycall.events import AgentChanged, Queued
from easycall.model import PHONE, Agent, AgentState, OfferOutcome, PhoneState, Queue, WorkItem
from easycall.ports import Journal

__all__ = ["Assignment", "Distributor", "Offer", "Place"]

REFUSED_SECONDS: Mapping[OfferOutcome, float] = {OfferOutcome.LOST: 1.0, OfferOutcome.BUSY: 1.0}
"""How long an item is not offered again to an agent after such an outcome; 30 s after any other.

An offer lost for technical reasons is repeated soon, but not in a hot loop; so is one that a private call was in the way of.
"""

FRONT_SECONDS = 0.001
"""How much earlier than the first in line one joined who goes before."""

NOT_READY_AFTER: Mapping[OfferOutcome, str] = {
    OfferOutcome.NO_ANSWER: "missed",
    OfferOutcome.UNREACHABLE: "unreachable",
}
"""Offers that come to nothing this way make the agent not ready, with this reason: the phone is not attended."""


class Assignment:
    """One agent held by one contact: reserved, rung, talking, until ended or parted."""

    def __init__(self, distributor: Distributor, agent: Agent, attempt: int) -> None:
        self._distributor = distributor
        self.agent = agent.id
        self.phone = agent.phone
        self.auto_answer = agent.auto_answer
        self.attempt = attempt
        """1 for the first agent rung for the contact, and so on."""
        self.refusal: Mapping[str, float] = {}
        """Once it came to nothing: this agent, until when the contact is not offered again, see
        :attr:`easycall.model.WorkItem.refused`."""

    def rings(self) -> None:
        """The agent's phone rings."""
        self._distributor.step(self.agent, Step.RINGS)

    def ended(self, outcome: OfferOutcome) -> None:
        """It came to nothing: the agent is released."""
        self.refusal = self._distributor.refusal(self.agent, outcome)
        self._distributor.release(self.agent, outcome)

    def talks(self) -> None:
        """The agent talks."""
        self._distributor.step(self.agent, Step.TALKS)

    def holds(self) -> None:
        """The agent put the customer on hold."""
        self._distributor.step(self.agent, Step.HOLDS)

    def retrieves(self) -> None:
        """The agent has the customer back."""
        self._distributor.step(self.agent, Step.RETRIEVES)

    def parted(self, wrap_up_seconds: float) -> None:
        """They parted: the agent wraps up."""
        self._distributor.wrap_up(self.agent, wrap_up_seconds)


class Offer(Assignment):
    """An agent chosen for a contact that waits."""

    def __init__(self, distributor: Distributor, place: Place, agent: Agent, attempt: int) -> None:
        super().__init__(distributor, agent, attempt)
        self._place = place

    def ended(self, outcome: OfferOutcome) -> None:
        """The offer came to nothing: the agent is released and the contact has its old place again."""
        self._distributor.give_back(self._place, self.agent, outcome)
        super().ended(outcome)

    def talks(self) -> None:
        """Agent and caller are together: the contact leaves the waiting room."""
        super().talks()
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
    """All agents and all waiting contacts of this daemon."""

    def __init__(self, queues: Mapping[str, Queue], agents: Sequence[Agent], clock: IReactorTime, journal: Journal) -> None:
        self.queues = queues
        self.agents: dict[str, Agent] = {agent.id: agent for agent in agents}
        self._clock = clock
        self._journal = journal
        self._places: dict[str, Place] = {}
        self._waiting: dict[str, WorkItem] = {}
        self._frozen: set[str] = set()
        self._phones: dict[str, dict[str, PhoneState]] = {}
        self._wrap_ups: dict[str, IDelayedCall] = {}
        self._look: IDelayedCall | None = None
        self._stopped = False

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
        """An offer came to nothing: the contact looks for an agent again (:meth:`release` matches, in the same turn)."""
        now = self._clock.seconds()
        contact = place.item.contact
        if outcome is OfferOutcome.CALLER_LEFT:
            self.forget(place)
        if self._places.get(contact) is place:
            refused = {agent: until for agent, until in place.item.refused.items() if until > now}
            refused |= self.refusal(agent_id, outcome)
            place.item = self._waiting[contact] = evolve(place.item, refused=refused)

    def refusal(self, agent_id: str, outcome: OfferOutcome) -> Mapping[str, float]:
        """The agent, and until when a contact is not offered again after that outcome."""
        return {agent_id: self._clock.seconds() + REFUSED_SECONDS.get(outcome, 30.0)}

    def release(self, agent_id: str, outcome: OfferOutcome) -> None:
        """An agent who was reserved or rung is free again."""
        reason = NOT_READY_AFTER.get(outcome, "")
        if reason:
            agent = self.agents[agent_id]
            agent.phone_lost = agent.wants is None and outcome is OfferOutcome.UNREACHABLE
            agent.wants = agent.wants or (AgentState.NOT_READY, reason)
        self.step(agent_id, Step.RELEASED)
        self._match()

    def reserve(self, agent_id: str, contact: str, attempt: int, pbx: str = "", *, own_wish: bool = False) -> Assignment:
        """Hold an agent for a contact that asks for this one: a consultation, a transfer, a call out.

        ``pbx``: where the agent will be rung; ``own_wish``: the agent may be not ready, and is so again afterwards.  Raises
        NotNow, in words for the one who asks, when there is no such agent, or the agent is not ready or not to be reached.
        """
        agent = self.askable(agent_id, pbx, own_wish=own_wish)
        if agent.state is AgentState.NOT_READY:
            agent.wants = (AgentState.NOT_READY, agent.reason)
        self.step(agent_id, Step.RESERVED, contact=contact)
        return Assignment(self, agent, attempt)

    def askable(self, agent_id: str, pbx: str = "", *, own_wish: bool = False) -> Agent:
        """The agent, if :meth:`reserve` would hold this one now.  Raises NotNow as it does."""
        agent = self.agents.get(agent_id)
        if agent is None:
            raise NotNow(f"there is no agent {agent_id!r}")
        if agent.state is not AgentState.READY and not (own_wish and agent.state is AgentState.NOT_READY):
            why = f" ({agent.reason})" if agent.reason else ""
            raise NotNow(f"{agent_id} is {agent.state.value.replace('_', ' ')}{why}")
        if hindrance := routing.hindrance(agent, pbx):
            raise NotNow(f"{agent_id}: {hindrance}")
        return agent

    def reserve_one_of(self, queue: str, contact: str, attempt: int, pbx: str = "") -> Assignment:
        """Hold the agent whom routing would choose for a contact that asks for anybody of a queue.  Raises NotNow."""
        if queue not in self.queues:
            raise NotNow(f"there is no queue {queue!r}")
        item = WorkItem(contact, queue, self._clock.seconds(), pbx)
        pairs = routing.match([item], self.agents.values(), (), self._clock.seconds())
        if not pairs:
            raise NotNow(f"nobody is free in {queue}")
        return self.reserve(pairs[0].agent, contact, attempt, pbx)

    def supervise(self, agent_id: str) -> str:
        """Hold an agent who supervises, so that no call is offered; the phone to ring.  Raises NotNow.

        :meth:`supervised` lets the agent go, to the state the agent had or has asked for meanwhile.
        """
        agent = self.agents[agent_id]
        was, why = agent.state, agent.reason
        self.step(agent_id, Step.SUPERVISES)
        agent.wants = None if was is AgentState.READY else (was, why)
        return agent.phone

    def supervised(self, agent_id: str) -> None:
        """The agent does not supervise any more."""
        self.step(agent_id, Step.RELEASED)
        self._match()

    def takes_over(self, agent_id: str, contact: str, attempt: int) -> Assignment:
        """Hold an agent who supervises for the contact itself.  Raises NotNow when the agent does not supervise."""
        self.step(agent_id, Step.RESERVED, contact=contact)
        return Assignment(self, self.agents[agent_id], attempt)

    def someone_free(self, queue: str) -> bool:
        """True when an agent of the queue is ready now, and the agent's phone is."""
        ready = (agent for agent in self.agents.values() if agent.state is AgentState.READY and queue in agent.queues)
        return any(not routing.hindrance(agent) for agent in ready)

    def front(self, queue: str) -> float:
        """When one would have had to join a queue to be first in line."""
        now = self._clock.seconds()
        return min((item.enqueued for item in self.waiting(queue)), default=now + FRONT_SECONDS) - FRONT_SECONDS

    # Agents

    def log_in(self, agent_id: str, phone: str = "", queues: Sequence[str] | None = None) -> None:
        """Log an agent in with a phone; again with another phone: the newest wins.

        Without a phone or queues, the agent's own are taken.  Raises KeyError for an unknown agent, ValueError for a bad
        phone or an unknown queue, NotNow while a contact holds the agent.
        """
        agent = self.agents[agent_id]
        after(agent.state, Step.LOG_IN)
        phone = phone or agent.own_phone
        if not PHONE.fullmatch(phone):
            raise ValueError(
                f"phone {phone!r}: 1 to 40 letters, digits and _ . + -, the first a letter or digit"
                if phone
                else f"agent {agent_id} has no phone of its own: name one"
            )
        unknown = sorted(set(queues or ()) - set(self.queues))
        if unknown:
            raise ValueError(f"unknown queue: {', '.join(unknown)}")
        agent.phone = phone
        agent.phones = self._phones.setdefault(phone, {})
        agent.phone_lost = False
        agent.queues = agent.own_queues if queues is None else tuple(queues)
        self.step(agent_id, Step.LOG_IN)

    def log_out(self, agent_id: str) -> None:
        """Log an agent out, when the present contact is done.  Raises KeyError, NotNow."""
        agent = self.agents[agent_id]
        agent.phone_lost = False
        if agent.state in BUSY:
            agent.wants = (AgentState.OFFLINE, "")
            self._tell(agent)
        else:
            self.step(agent_id, Step.LOG_OUT)

    def set_state(self, agent_id: str, state: AgentState, reason: str = "") -> None:
        """Make an agent ready or not ready, at once or when the present contact is done.

        Raises KeyError for an unknown agent, ValueError for another state, NotNow for an agent who is logged out.
        """
        agent = self.agents[agent_id]
        if state not in (AgentState.READY, AgentState.NOT_READY):
            raise ValueError(f"an agent can be set ready or not_ready, not {state}")
        agent.phone_lost = False
        if agent.state in BUSY:
            agent.wants = (state, reason)
            self._tell(agent)
            return
        self.step(agent_id, Step.READY if state is AgentState.READY else Step.NOT_READY, reason)
        self._match()

    def wrap_up(self, agent_id: str, seconds: float) -> None:
        """The agent's contact is over: wrap-up runs, then the agent is ready, or what was asked for meanwhile."""
        agent = self.agents[agent_id]
        contact = agent.contact
        self.step(agent_id, Step.PARTED, until=self._clock.seconds() + seconds, contact=contact)
        if seconds > 0 and not self._stopped:
            self._wrap_ups[agent_id] = self._clock.callLater(seconds, self._wrapped_up, agent_id)
        else:
            self._wrapped_up(agent_id)

    def _wrapped_up(self, agent_id: str) -> None:
        self._wrap_ups.pop(agent_id, None)
        self.step(agent_id, Step.WRAPPED_UP)
        self._match()

    def step(self, agent_id: str, step: Step, reason: str = "", *, until: float = 0.0, contact: str | None = None) -> None:
        """Take an agent one step through the state table and tell the journal.  Raises NotNow."""
        agent = self.agents[agent_id]
        was = agent.state
        state = after(was, step)
        if state is AgentState.READY and agent.wants is not None:
            state, reason = agent.wants
        now = self._clock.seconds()
        timer = self._wrap_ups.pop(agent_id, None)
        if timer is not None:
            timer.cancel()
        if state not in BUSY and state is not AgentState.WRAP_UP:
            agent.wants = None
            agent.contact = ""
        if contact is not None:
            agent.contact = contact
        if state is AgentState.READY and was not in (AgentState.READY, *BUSY):
            agent.idle_since = now
        if state is AgentState.OFFLINE:
            agent.phone, agent.phones = "", {}
        if state is not was:
            agent.since = now
        agent.state, agent.reason, agent.until = state, reason, until
        self._tell(agent)

    # Phones

    def phone_is(self, pbx: str, phone: str, state: PhoneState) -> None:
        """What a phone does at an Asterisk besides our own calls."""
        states = self._phones.setdefault(phone, {})
        owners = [agent for agent in self.agents.values() if agent.phone == phone]
        before = [routing.hindrance(agent) for agent in owners]
        states[pbx] = state
        for agent, hindrance in zip(owners, before, strict=True):
            if agent.phone_lost and state is PhoneState.IDLE:
                agent.phone_lost = False
                if agent.state is AgentState.NOT_READY:
                    self.step(agent.id, Step.READY)
                    continue
            if routing.hindrance(agent) != hindrance:
                self._tell(agent)
        self._match()

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
        for timer in [*self._wrap_ups.values(), *([self._look] if self._look else [])]:
            if timer.active():
                timer.cancel()
        self._wrap_ups.clear()
        self._look = None

    def _match(self) -> None:
        if self._stopped:
            return
        now = self._clock.seconds()
        pairs = routing.match(self._waiting.values(), self.agents.values(), self._frozen, now)
        for pair in pairs:
            del self._waiting[pair.contact]
            self.step(pair.agent, Step.RESERVED, contact=pair.contact)
        for pair in pairs:
            # Telling comes after all reserving: what a waiter does with its offer cannot disturb the choice.
            place = self._places.get(pair.contact)
            if place is None:
                self.step(pair.agent, Step.RELEASED)
            else:
                place.reserve(self.agents[pair.agent])
        self._look_again(now)

    def _look_again(self, now: float) -> None:
        if self._look is not None and self._look.active():
            self._look.cancel()
        when = routing.next_look(self._waiting.values(), now)
        self._look = None if when is None else self._clock.callLater(when - now, self._match)

    def _tell(self, agent: Agent) -> None:
        if self._stopped:
            return
        self._journal.record(
            AgentChanged(
                at=self._clock.seconds(),
                agent=agent.id,
                contact=agent.contact,
                state=agent.state,
                reason=agent.reason,
                phone=agent.phone,
                queues=agent.queues,
                until=agent.until,
                hindrance=routing.hindrance(agent),
            )
        )
