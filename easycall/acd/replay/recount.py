"""A day as a fold over its events.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from functools import singledispatchmethod

from attrs import define, evolve, field

from easycall.acd.agent import BUSY, HANDLING
from easycall.acd.replay.day import AgentDay, Clocked, Day, Doing, Duty, Ending, Fate, Presence, Stay, Unanswered
from easycall.events import (
    AgentAssigned,
    AgentChanged,
    Answered,
    ContactArrived,
    ContactEnded,
    Event,
    OfferEnded,
    PbxDown,
    PbxUp,
    Queued,
    QueueLeft,
    QueueOverflowed,
)
from easycall.model import AgentState, EndedBy, OfferOutcome

__all__ = ["READ", "Recount"]

READ: tuple[type[Event], ...] = (
    *(AgentAssigned, AgentChanged, Answered, ContactArrived, ContactEnded, OfferEnded),
    *(PbxDown, PbxUp, Queued, QueueLeft, QueueOverflowed),
)
"""The events that tell of a day; the others may be left out."""

OWN = frozenset({AgentState.OFFLINE, AgentState.NOT_READY, AgentState.READY})
"""States an agent has without anything to do."""


@define
class _Busy:
    """An agent with something to do, from then on."""

    since: float
    contact: str
    supervises: bool
    stay: str = ""
    """The stay of which it is the answer."""
    offered: str = ""
    """The stay of which it was an offer that came to nothing."""
    refused: float = 0.0
    """How long it was not offered to this agent again then."""
    caller_left: bool = False
    """An offer that ended as the caller left the queue: it will be made again, or not."""
    talked: bool = False
    parted: float = 0.0


@define
class _Agent:
    """What is known of an agent so far."""

    clocked: Clocked
    told: AgentDay = field(factory=AgentDay)
    busy: _Busy | None = None
    state: AgentState = AgentState.OFFLINE


class Recount:
    """Takes every event of :data:`READ`, in order; those before the day tell what the agents are when it begins."""

    def __init__(
        self,
        first: float,
        end: float,
        skills: Mapping[str, Mapping[str, int]],
        refused_seconds: Mapping[OfferOutcome, float],
        usual_seconds: float = 30.0,
    ) -> None:
        """``skills``: agent -> what each can do of whom the journal tells nothing else; ``refused_seconds``: how long a
        contact is not offered again to an agent after such an outcome; after any other ``usual_seconds``."""
        self._refused_seconds = refused_seconds
        self._usual_seconds = usual_seconds
        self._first = first
        self._end = end
        self._agents = {agent: self._hired(agent, can) for agent, can in skills.items()}
        self._stays: dict[str, Stay] = {}
        self._fates: dict[str, Fate] = {}
        self._unanswered: dict[str, list[Unanswered]] = {}
        self._rung: dict[str, float] = {}
        self._unsettled: set[str] = set()
        """Stays that wait, or whose agent is not done."""
        self._open: dict[str, str] = {}
        """Contact -> its stay that goes on."""
        self._latest: dict[str, tuple[str, int]] = {}
        """Contact -> its latest stay, and how many it had."""
        self._pbx_of: dict[str, str] = {}
        self._links: list[tuple[float, str, bool]] = []
        self._kept_out = 0
        self._last = first

    @property
    def settled(self) -> bool:
        """Nothing goes on any more of what came within the day."""
        return not self._unsettled

    def _hired(self, agent: str, skills: Mapping[str, int]) -> _Agent:
        known = _Agent(Clocked(self._first, self._end))
        known.told.skills.append((0.0, skills))
        return known

    def _agent(self, agent: str) -> _Agent:
        found = self._agents.get(agent)
        if found is None:
            found = self._agents[agent] = self._hired(agent, {})
        return found

    @singledispatchmethod
    def take(self, event: Event) -> None:
        """One more event."""

    def day(self) -> Day:
        """What is known now."""
        for agent in self._agents.values():
            agent.clocked.turn(Doing.ELSE, self._last)
            if agent.busy is not None:
                self._let_go(agent, agent.busy, self._last, known=False)
        for name in self._open.values():
            self._fates[name] = Fate(Ending.WAITING, self._last)
        stays = self._of_the_day()
        return Day(
            first=self._first,
            end=self._end,
            last=self._last,
            stays=tuple(evolve(stay, follows=stay.follows if stay.follows in stays else "") for stay in stays.values()),
            fates={name: self._fates[name] for name in stays},
            unanswered={name: vain for name, vain in self._unanswered.items() if name in stays},
            rung={name: rung for name, rung in self._rung.items() if name in stays},
            agents={agent: _of_the_day(known.told, self._first) for agent, known in self._agents.items()},
            clocked={agent: known.clocked for agent, known in self._agents.items()},
            links=tuple(self._links),
            kept_out=self._kept_out,
        )

    def _of_the_day(self) -> dict[str, Stay]:
        """The stays that count, and those that waited when the day began; of others an agent may still be busy then."""
        found = {}
        for name, stay in self._stays.items():
            fate = self._fates[name]
            if stay.at >= self._first:
                found[name] = stay
            elif fate.how is Ending.ANSWERED and fate.reserved < self._first:
                left = fate.freed - self._first
                if left > 0:
                    self._agent(fate.agent).told.duties.insert(0, Duty(self._first, left, talked=True))
            elif fate.how is not Ending.WAITING and fate.at >= self._first:
                found[name] = evolve(stay, carried=True)
        return found

    # Contacts

    @take.register
    def _(self, event: ContactArrived) -> None:
        self._pbx_of[event.contact] = event.pbx

    @take.register
    def _(self, event: Queued) -> None:
        contact = event.contact
        stay = self._stays.get(self._open.get(contact, ""))
        if stay is not None and stay.queue == event.queue:
            return  # told again, by a daemon that was restarted
        self._close(contact, Ending.LEFT, event.at)
        if event.at >= self._end:
            return
        before, number = self._latest.get(contact, ("", 0))
        name = f"{contact} ({number + 1})" if number else contact
        self._stays[name] = Stay(
            id=name,
            contact=contact,
            queue=event.queue,
            at=event.at,
            since=event.since or event.at,
            channel=event.channel,
            skills=event.skills,
            offset=event.offset,
            owner=event.owner,
            owner_until=event.owner_until,
            pbx=self._pbx_of.get(contact, ""),
            follows=before,
        )
        self._open[contact] = name
        self._latest[contact] = name, number + 1
        self._last = max(self._last, event.at)
        if event.at >= self._first:
            self._unsettled.add(name)

    def _close(self, contact: str, how: Ending, at: float) -> None:
        stay = self._open.pop(contact, None)
        if stay is not None:
            self._fates[stay] = Fate(how, at)
            self._unsettled.discard(stay)

    @take.register
    def _(self, event: QueueLeft) -> None:
        self._close(event.contact, Ending.LEFT, event.at)

    @take.register
    def _(self, event: QueueOverflowed) -> None:
        if event.contact not in self._open and self._first <= event.at < self._end:
            self._kept_out += 1
        self._close(event.contact, Ending.LEFT, event.at)

    @take.register
    def _(self, event: Answered) -> None:
        stay = self._open.pop(event.contact, None)
        if stay is None:
            return
        busy = self._agent(event.agent).busy
        reserved = event.at
        if busy is not None and busy.contact == event.contact:
            busy.stay, reserved = stay, busy.since
        else:
            self._unsettled.discard(stay)
        self._fates[stay] = Fate(Ending.ANSWERED, event.at, event.agent, reserved)

    @take.register
    def _(self, event: OfferEnded) -> None:
        busy, stay = self._agent(event.agent).busy, self._open.get(event.contact, "")
        if busy is None or busy.contact != event.contact:
            return
        if event.outcome is OfferOutcome.CALLER_LEFT:
            busy.caller_left = bool(stay)
            if stay:
                self._rung[stay] = event.at - busy.since
        elif event.outcome is not OfferOutcome.ANSWERED:
            busy.offered, busy.refused = stay, self._refused_seconds.get(event.outcome, self._usual_seconds)

    @take.register
    def _(self, event: ContactEnded) -> None:
        self._close(event.contact, Ending.ABANDONED if event.ended_by is EndedBy.CALLER else Ending.LEFT, event.at)
        self._latest.pop(event.contact, None)
        self._pbx_of.pop(event.contact, None)

    # Asterisks

    @take.register
    def _(self, event: PbxDown) -> None:
        self._links.append((event.at, event.pbx, False))

    @take.register
    def _(self, event: PbxUp) -> None:
        self._links.append((event.at, event.pbx, True))

    # Agents

    @take.register
    def _(self, event: AgentAssigned) -> None:
        told = self._agent(event.agent).told
        told.skills.append((event.at, event.skills))
        if told.presence:
            self._is(told, evolve(told.presence[-1], at=event.at, queues=event.serves))

    @take.register
    def _(self, event: AgentChanged) -> None:
        self._last = max(self._last, event.at)
        agent = self._agent(event.agent)
        agent.clocked.turn(_doing(event), event.at)
        self._work(agent, event)
        before = agent.told.presence[-1].state if agent.told.presence else AgentState.READY
        if event.state in OWN:
            state = event.state
        elif event.state is AgentState.SUPERVISING and event.next is None:
            state = before  # it is not told what comes after
        else:
            state = event.next or AgentState.READY
        self._is(agent.told, Presence(event.at, state, event.queues, bool(event.hindrance)))
        if event.state is AgentState.READY and agent.state not in (AgentState.READY, *BUSY) and event.at <= self._first:
            agent.told.idle_since = event.at
        agent.state = event.state

    @staticmethod
    def _is(told: AgentDay, now: Presence) -> None:
        if not told.presence or evolve(told.presence[-1], at=now.at) != now:
            told.presence.append(now)

    def _work(self, agent: _Agent, event: AgentChanged) -> None:
        """What the agent has to do."""
        busy, supervises = agent.busy, event.state is AgentState.SUPERVISING
        free = event.state in OWN
        if busy is not None and (free or event.contact != busy.contact or supervises != busy.supervises):
            self._let_go(agent, busy, event.at, known=True)
        if free:
            return
        if agent.busy is None:
            agent.busy = _Busy(event.at, event.contact, supervises)
        if event.state in (AgentState.TALKING, AgentState.HELD):
            agent.busy.talked = True
        if event.state is AgentState.WRAP_UP and not agent.busy.parted:
            agent.busy.parted = event.at

    def _let_go(self, agent: _Agent, busy: _Busy, at: float, *, known: bool) -> None:
        """The agent is done with it; ``known``: that was told, and is not only the end of what is known."""
        agent.busy = None
        if busy.stay:
            self._unsettled.discard(busy.stay)
            parted = busy.parted or (at if known else 0.0)
            self._fates[busy.stay] = evolve(self._fates[busy.stay], parted=parted, freed=at if known else 0.0)
        elif busy.offered and busy.since >= self._first:
            self._unanswered.setdefault(busy.offered, []).append(Unanswered(at - busy.since, busy.refused))
        elif at > busy.since and not busy.caller_left and not busy.offered:
            agent.told.duties.append(Duty(busy.since, at - busy.since, not busy.supervises, busy.talked))


def _doing(event: AgentChanged) -> Doing:
    if event.state in HANDLING or event.state is AgentState.WRAP_UP:
        return Doing.CONTACT
    return Doing.IDLE if event.state is AgentState.READY and not event.hindrance else Doing.ELSE


def _of_the_day(told: AgentDay, first: float) -> AgentDay:
    """Without what was over when the day began."""
    before = [presence for presence in told.presence if presence.at <= first][-1:]
    begun = [evolve(presence, at=first) for presence in before]
    duties = [duty for duty in told.duties if duty.at + duty.seconds > first]
    return AgentDay(
        presence=[*begun, *(presence for presence in told.presence if presence.at > first)],
        duties=[
            duty if duty.at >= first else evolve(duty, at=first, seconds=duty.at + duty.seconds - first) for duty in duties
        ],
        skills=told.skills,
        idle_since=told.idle_since,
    )
