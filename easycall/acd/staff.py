"""The agents: what each is doing, the phone of each, and who holds whom.

Every change of an agent's state goes through :meth:`Staff.step`, which is where the journal is told.  Which contact an agent
gets is decided by the :class:`~easycall.acd.distributor.Distributor`, who is told when somebody may have become free.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from twisted.internet.interfaces import IReactorTime

from easycall.acd import routing
from easycall.acd.agent import BUSY, HANDLING, NotNow, Step, after
from easycall.acd.desk_work import DeskWork, described
from easycall.acd.wrapping_up import WrapUps
from easycall.acd.wrapup import NO_WRAP_UP, WrapUpRules
from easycall.events import AgentAssigned, AgentChanged, Event
from easycall.model import PHONE, Agent, AgentState, Missed, OfferOutcome, PhoneState, Queue
from easycall.policy import Channel
from easycall.ports import Journal

__all__ = ["REFUSED_SECONDS", "Assignment", "Staff"]

REFUSED_SECONDS: Mapping[OfferOutcome, float] = {
    OfferOutcome.LOST: 1.0,
    OfferOutcome.BUSY: 1.0,
    OfferOutcome.ELSEWHERE: 0.0,
}
"""How long an item is not offered again to an agent after such an outcome; 30 s after any other.

An offer lost for technical reasons is repeated soon, but not in a hot loop; so is one that a private call was in the way of.
"""

NOT_READY_AFTER: Mapping[OfferOutcome, str] = {
    OfferOutcome.NO_ANSWER: "missed",
    OfferOutcome.UNREACHABLE: "unreachable",
}
"""Offers that come to nothing this way make the agent not ready, with this reason: the phone is not attended."""


class Assignment:
    """One agent held by one contact: reserved, rung, talking, until ended or parted."""

    def __init__(self, staff: Staff, agent: Agent, attempt: int) -> None:
        self._staff = staff
        self.agent = agent.id
        self.phone = agent.phone
        self.auto_answer = agent.auto_answer
        self.attempt = attempt
        """1 for the first agent rung for the contact, and so on."""
        self.refusal: Mapping[str, float] = {}
        """Once it came to nothing: this agent, until when the contact is not offered again, see
        :attr:`easycall.policy.WorkItem.refused`."""

    @property
    def stands(self) -> bool:
        """Whether the agent is still held by it."""
        return True

    def rings(self) -> None:
        """The agent's phone rings."""
        self._staff.step(self.agent, Step.RINGS)

    def ended(self, outcome: OfferOutcome) -> None:
        """It came to nothing: the agent is released."""
        self.refusal = self._staff.refusal(self.agent, outcome)
        self._staff.release(self.agent, outcome)

    def talks(self, queue: str) -> None:
        """The agent talks; the rules of ``queue`` hold."""
        self._staff.talks(self.agent, queue)

    def holds(self) -> None:
        """The agent put the customer on hold."""
        self._staff.step(self.agent, Step.HOLDS)

    def retrieves(self) -> None:
        """The agent has the customer back."""
        self._staff.step(self.agent, Step.RETRIEVES)

    def has_back(self) -> None:
        """The agent has the customer, and may have had all the time."""
        if self._staff.agents[self.agent].state is AgentState.HELD:
            self.retrieves()

    def parted(self, wrap_up: WrapUpRules) -> None:
        """They parted: the agent wraps up."""
        self._staff.wrap_ups.begin(self.agent, wrap_up)


class Staff:
    """All agents of this daemon."""

    def __init__(
        self,
        agents: Iterable[Agent],
        queues: Mapping[str, Queue],
        clock: IReactorTime,
        journal: Journal,
        reasons: tuple[str, ...] = (),
    ) -> None:
        """``reasons``: why an agent may be not ready; empty: agents say it in their own words."""
        self.agents: dict[str, Agent] = {agent.id: agent for agent in agents}
        self.queues = queues
        self.reasons = reasons
        self.wrap_ups = WrapUps(self, clock)
        self.desk_work = DeskWork(self, clock)
        self._clock = clock
        self._journal = journal
        self._phones: dict[str, dict[str, PhoneState]] = {}
        self._freed: Callable[[], None] = lambda: None
        self._desk_left: Callable[[str], None] = lambda agent_id: None
        self._changed: Callable[[Agent], None] = lambda agent: None
        self._unclaimed: dict[str, None] = {}
        """Agents who were held when the process before us ended, until it is known by whom."""
        self._stopped = False

    def when_changed(self, changed: Callable[[Agent], None]) -> None:
        """Call this whenever something of an agent is different; what follows from it can wait until one is freed."""
        self._changed = changed

    def when_freed(self, freed: Callable[[], None]) -> None:
        """Call this whenever an agent may have become free."""
        self._freed = freed

    def when_desk_left(self, left: Callable[[str], None]) -> None:
        """Call this with an agent who has logged out, or in anew: the desktop there was does not matter any more."""
        self._desk_left = left

    def freed(self) -> None:
        """An agent may have become free."""
        self._freed()

    # Held by a contact, or by a supervision

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
        if not own_wish and not routing.has_room(agent, Channel.CALL):
            raise NotNow(f"{agent_id} takes no call{described(agent)}")
        return agent

    def refusal(self, agent_id: str, outcome: OfferOutcome) -> Mapping[str, float]:
        """The agent, and until when a contact is not offered again after that outcome."""
        return {agent_id: self._clock.seconds() + REFUSED_SECONDS.get(outcome, 30.0)}

    def release(self, agent_id: str, outcome: OfferOutcome) -> None:
        """An agent who was reserved or rung is free again."""
        agent = self.agents[agent_id]
        if outcome is OfferOutcome.NO_ANSWER:
            agent.missed = Missed(agent.contact, self._clock.seconds())
        reason = NOT_READY_AFTER.get(outcome, "")
        if reason and (agent.wants is None or agent.wants[0] is AgentState.READY):
            agent.phone_lost = outcome is OfferOutcome.UNREACHABLE
            agent.wants = (AgentState.NOT_READY, reason)
        self.step(agent_id, Step.RELEASED)
        self.freed()

    def supervise(self, agent_id: str) -> str:
        """Hold an agent who supervises, so that no call is offered; the phone to ring.  Raises NotNow.

        :meth:`supervised` lets the agent go, to the state the agent had or has asked for meanwhile.
        """
        agent = self.agents[agent_id]
        after(agent.state, Step.SUPERVISES)
        agent.wants = None if agent.state is AgentState.READY else (agent.state, agent.reason)
        self.step(agent_id, Step.SUPERVISES)
        return agent.phone

    def supervised(self, agent_id: str) -> None:
        """The agent does not supervise any more."""
        self.step(agent_id, Step.RELEASED)
        self.freed()

    def takes_over(self, agent_id: str, contact: str, attempt: int) -> Assignment:
        """Hold an agent who supervises for the contact itself.  Raises NotNow when the agent does not supervise."""
        self.step(agent_id, Step.RESERVED, contact=contact)
        return Assignment(self, self.agents[agent_id], attempt)

    # After a restart

    def restore(self, agent_id: str, was: AgentChanged, since: float, idle_since: float) -> None:
        """An agent is what the process before us told last; ``since`` and ``idle_since``: see :class:`Agent`.

        Whoever was held by a contact is so until that one takes the agent up (:meth:`held_by`), or none does
        (:meth:`let_go`).  Raises KeyError for an agent who is no more.
        """
        agent = self.agents[agent_id]
        agent.state, agent.reason, agent.until = was.state, was.reason, was.until
        agent.since, agent.idle_since = since, idle_since
        agent.phone, agent.phones = was.phone, self._phones.setdefault(was.phone, {}) if was.phone else {}
        agent.queues = tuple(queue for queue in was.queues if queue in self.queues)
        agent.contact, agent.disposition, agent.missed = was.contact, was.disposition, was.missed
        agent.queue = was.queue if was.queue in self.queues else ""
        agent.wants = (was.next, was.next_reason) if was.next is not None else None
        agent.desktop, agent.desktop_lost = was.desktop, was.hindrance == routing.DESKTOP_LOST
        agent.phone_lost = was.state is AgentState.NOT_READY and was.reason == NOT_READY_AFTER[OfferOutcome.UNREACHABLE]
        if agent.state in BUSY:
            self._unclaimed[agent_id] = None
        self.tell(agent)
        if was.state is AgentState.WRAP_UP:
            self.wrap_ups.resume(agent_id)

    def held_by(self, agent_id: str, contact: str, attempt: int) -> Assignment | None:
        """The agent was held by this contact when the process before us ended, and is still; None: is not."""
        agent = self.agents.get(agent_id)
        if agent is None or agent.contact != contact or agent.state not in HANDLING:
            return None
        self._unclaimed.pop(agent_id, None)
        return Assignment(self, agent, attempt)

    def let_go(self) -> None:
        """Of the others, whatever held them when the process before us ended is over: they are released, or in wrap-up."""
        while self._unclaimed:
            agent = self.agents[self._unclaimed.popitem()[0]]
            if agent.state in (AgentState.TALKING, AgentState.HELD):
                queue = self.queues.get(agent.queue)
                self.wrap_ups.begin(agent.id, WrapUpRules.of(queue) if queue else NO_WRAP_UP)
            else:
                self.step(agent.id, Step.RELEASED)
        self.freed()

    def talks(self, agent_id: str, queue: str) -> None:
        """The agent has somebody of the contact, which came from ``queue``."""
        self.agents[agent_id].queue = queue
        self.step(agent_id, Step.TALKS)

    # What is asked for by agents, and by supervisors for them; ``by``: the name of the token that asks

    def log_in(self, agent_id: str, phone: str = "", queues: Sequence[str] | None = None, by: str = "") -> None:
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
        self.check_queues(queues or ())
        agent.phone = phone
        agent.phones = self._phones.setdefault(phone, {})
        agent.phone_lost = False
        agent.queues = agent.own_queues if queues is None else tuple(queues)
        self.step(agent_id, Step.LOG_IN, by=by)

    def check_queues(self, queues: Iterable[str]) -> None:
        """Raises ValueError when one of them is not there."""
        unknown = sorted(set(queues) - set(self.queues))
        if unknown:
            raise ValueError(f"unknown queue: {', '.join(unknown)}")

    def log_out(self, agent_id: str, by: str = "") -> None:
        """Log an agent out, when the present contact is done.  Raises KeyError, NotNow."""
        agent = self.agents[agent_id]
        agent.phone_lost = False
        if agent.state in BUSY:
            agent.wants = (AgentState.OFFLINE, "")
            self.tell(agent, by)
        else:
            self.step(agent_id, Step.LOG_OUT, by=by)

    def set_state(self, agent_id: str, state: AgentState, reason: str = "", by: str = "", *, forced: bool = False) -> None:
        """Make an agent ready or not ready, at once or when the present contact is done.

        Raises KeyError for an unknown agent, ValueError for another state or reason, NotNow for an agent who is logged out,
        or owes a disposition and it is not ``forced``.
        """
        agent = self.agents[agent_id]
        if state not in (AgentState.READY, AgentState.NOT_READY):
            raise ValueError(f"an agent can be set ready or not_ready, not {state}")
        if state is AgentState.NOT_READY and self.reasons and reason not in self.reasons:
            raise ValueError(f"reason {reason!r} is none of: {', '.join(self.reasons)}")
        if not forced:
            self.wrap_ups.check_end(agent_id)
        agent.phone_lost = False
        if agent.state in BUSY:
            agent.wants = (state, reason)
            self.tell(agent, by)
            return
        self.step(agent_id, Step.READY if state is AgentState.READY else Step.NOT_READY, reason, by=by)
        self.freed()

    def assign(
        self, agent_id: str, own_queues: tuple[str, ...], queues: tuple[str, ...], skills: Mapping[str, int], by: str = ""
    ) -> None:
        """The agent's queues and skills are these from now, for contacts that wait already too.

        ``own_queues``: those of every log-in; ``queues``: those served now.
        """
        agent = self.agents[agent_id]
        agent.own_queues, agent.queues, agent.skills = own_queues, queues, skills
        now = self._clock.seconds()
        self._changed(agent)
        self.record(AgentAssigned(at=now, agent=agent_id, queues=own_queues, serves=queues, skills=skills, by=by))
        self.freed()

    def desktop_came(self, agent_id: str) -> None:
        """The agent has a desktop, or has it back."""
        agent = self.agents[agent_id]
        if agent.desktop_lost or not agent.desktop:
            agent.desktop, agent.desktop_lost = True, False
            if agent.state is not AgentState.OFFLINE:
                self.tell(agent)
                self.freed()

    def desktop_lost(self, agent_id: str) -> None:
        """The agent's desktop is gone."""
        agent = self.agents[agent_id]
        agent.desktop_lost = True
        self.tell(agent)
        self.desk_work.lose(agent_id)
        self.freed()

    # How a state changes

    def step(
        self,
        agent_id: str,
        step: Step,
        reason: str = "",
        *,
        until: float = 0.0,
        contact: str | None = None,
        by: str = "",
    ) -> None:
        """Take an agent one step through the state table and tell the journal.  Raises NotNow."""
        agent = self.agents[agent_id]
        was = agent.state
        state = after(was, step)
        if state is AgentState.READY and agent.wants is not None:
            state, reason = agent.wants
        now = self._clock.seconds()
        self.wrap_ups.drop(agent_id)
        if state not in BUSY and state is not AgentState.WRAP_UP:
            agent.wants = None
            agent.contact = agent.queue = agent.disposition = ""
        if contact is not None:
            agent.contact = contact
        if state is AgentState.READY and was not in (AgentState.READY, *BUSY):
            agent.idle_since = now
        if state in (AgentState.READY, AgentState.OFFLINE) or step is Step.LOG_IN:
            agent.missed = None
        if state is AgentState.OFFLINE:
            agent.phone, agent.phones = "", {}
        if state is AgentState.OFFLINE or step is Step.LOG_IN:
            agent.desktop_lost = False
            self._desk_left(agent_id)
        if state is not was:
            agent.since = now
        agent.state, agent.reason, agent.until = state, reason, until
        self.tell(agent, by)
        if state is AgentState.OFFLINE:
            self.desk_work.lose(agent_id)

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
                self.tell(agent)
            else:
                self._changed(agent)
        self.freed()

    def stop(self) -> None:
        """Tell nothing more and drop the timers; agents stay as they are."""
        self._stopped = True
        self.wrap_ups.stop()

    def record(self, event: Event) -> None:
        """Tell the journal, until stopped."""
        if not self._stopped:
            self._journal.record(event)

    def tell(self, agent: Agent, by: str = "") -> None:
        """Tell the journal what the agent is doing; ``by``: who asked for the change."""
        self._changed(agent)
        self.record(
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
                next=agent.wants[0] if agent.wants else None,
                next_reason=agent.wants[1] if agent.wants else "",
                queue=agent.queue,
                desktop=agent.desktop,
                disposition=agent.disposition,
                missed=agent.missed,
                work=agent.work,
                by=by,
            )
        )
