"""The expected waits of all queues: what :mod:`easycall.acd.expectation` learns from, and who asks it.

It listens to the journal, as statistics do, and looks at the distributor for the line and the agents of the moment.  After a
start it learns anew: until then there is a belief, and callers are told nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from attrs import define, frozen

from easycall.acd.expectation import Expectation, free_agents, working_agents
from easycall.events import (
    AgentChanged,
    Answered,
    ContactEnded,
    Event,
    FlowStep,
    Offered,
    Picked,
    Queued,
    QueueLeft,
    VoicemailStarted,
)
from easycall.model import Agent, AgentState, EndedBy, Queue
from easycall.policy import AT_DESK

__all__ = ["Forecast", "Line", "Waits"]

HOLDING = frozenset(
    {AgentState.RESERVED, AgentState.RINGING, AgentState.TALKING, AgentState.HELD, AgentState.WRAP_UP},
)
"""States in which an agent has a contact."""


class Line(Protocol):
    """Who waits; the real one is the distributor."""

    @property
    def queues(self) -> Mapping[str, Queue]:
        """Every queue, by id."""

    def ahead(self, contact: str) -> Mapping[str, int]:
        """Queue -> how many who look for an agent go before a contact that waits; ``""``: before one who joins now.
        Raises KeyError when the contact does not wait."""


@frozen
class Forecast:
    """What is expected of a wait, and how good such expectations were of late."""

    seconds: float | None
    """Until the answer; None when nobody serves the queue."""
    known: bool
    """Whether enough was seen for callers to be told."""
    by_head: bool
    """Whether it comes from the head of the line, because the formula was wrong."""
    bias: float | None
    """Mean estimate over mean wait, less 1."""
    mean_absolute_error: float | None
    """Seconds."""
    compared: int
    """How many estimates these two are about."""


@define
class _Work:
    """What an agent is held by."""

    queue: str
    talked: bool = False


class Waits:
    """What every queue of a daemon taught about its waits."""

    def __init__(self, line: Line, agents: Mapping[str, Agent], now: Callable[[], float]) -> None:
        """``agents``: all there are, as they are at any time."""
        self._line = line
        self._agents = agents
        self._now = now
        self._queues = {queue.id: Expectation(queue.wrap_up_seconds, now()) for queue in line.queues.values()}
        self._queue_of: dict[str, str] = {}
        """Contact -> the queue it waited in last, until it ends."""
        self._offered: dict[str, float] = {}
        """Contact -> when an agent was rung for it last."""
        self._works: dict[str, _Work] = {}

    def of_contact(self, contact: str) -> Forecast | None:
        """Of one that waits; None when it does not."""
        queue = self._queue_of.get(contact, "")
        try:
            return self._forecast(queue, self._line.ahead(contact)) if queue else None
        except KeyError:
            return None

    def of_queue(self, queue: str) -> Forecast:
        """Of one who would join now.  Raises KeyError."""
        return self._forecast(queue, self._line.ahead(""))

    def known(self, queue: str) -> float | None:
        """How long one who joins now will wait, in seconds; None when nobody can tell yet.  Raises KeyError."""
        forecast = self.of_queue(queue)
        return forecast.seconds if forecast.known else None

    def _forecast(self, queue: str, ahead: Mapping[str, int]) -> Forecast:
        expectation, agents = self._queues[queue], self._agents.values()
        mine = ahead.get(queue, 0)
        if free_agents(queue, agents) > mine:
            seconds: float | None = expectation.ringing
        else:
            seconds = expectation.estimate(mine, working_agents(queue, agents, ahead), self._now())
        score = expectation.head_score if expectation.by_head else expectation.score
        return Forecast(
            seconds, expectation.known, expectation.by_head, score.bias, score.mean_absolute_error, round(score.number)
        )

    # What happens

    def take(self, sequence: int, event: Event) -> None:
        """A listener of the journal."""
        match event:
            case Queued() if event.channel in AT_DESK:
                pass  # a message that waits for hours says nothing of how long a caller will
            case Queued():
                self._elsewhere(event)
                self._queue_of[event.contact] = event.queue
                self._joins(event)
            case Offered():
                self._offered[event.contact] = event.at
            case Answered():
                if expectation := self._waits_in(event.contact):
                    expectation.answered(event.contact, event.at, event.at - self._offered.pop(event.contact, event.at))
            case QueueLeft():
                self._gives_up(event)
            case Picked() | FlowStep() | VoicemailStarted():
                self._elsewhere(event)
            case ContactEnded():
                self._ends(event)
            case AgentChanged():
                self._agent_changed(event)

    def _waits_in(self, contact: str) -> Expectation | None:
        return self._queues.get(self._queue_of.get(contact, ""))

    def _joins(self, event: Queued) -> None:
        """One for whom an agent is free does not wait: nothing is estimated for it."""
        queue, agents, ahead = event.queue, self._agents.values(), self._line.ahead(event.contact)
        mine = ahead.get(queue, 0)
        if free_agents(queue, agents) <= mine:
            team = working_agents(queue, agents, ahead)
            self._queues[queue].joined(event.contact, mine, team, event.at, event.since or event.at)

    def _elsewhere(self, event: Event) -> None:
        if expectation := self._waits_in(event.contact):
            expectation.taken(event.contact, event.at)

    def _ends(self, event: ContactEnded) -> None:
        self._offered.pop(event.contact, None)
        if event.ended_by is EndedBy.CALLER:
            self._gives_up(event)
        self._elsewhere(event)
        self._queue_of.pop(event.contact, None)

    def _gives_up(self, event: Event) -> None:
        if expectation := self._waits_in(event.contact):
            free = free_agents(self._queue_of[event.contact], self._agents.values())
            expectation.gave_up(event.contact, event.at, free > 0)

    def _agent_changed(self, event: AgentChanged) -> None:
        work = self._works.get(event.agent)
        if event.state in HOLDING:
            queue = self._queue_of.get(event.contact, "")
            if work is None and queue:
                work = self._works[event.agent] = _Work(queue)
                self._count(queue, event.at)
            if work is not None and event.state is AgentState.TALKING:
                work.talked = True
            return
        if work is not None:
            del self._works[event.agent]
            if work.talked:
                self._queues[work.queue].done(event.at)
            self._count(work.queue, event.at)
        if event.state is AgentState.READY and not event.hindrance:
            for queue in event.queues:
                self._queues[queue].free(event.at)

    def _count(self, queue: str, at: float) -> None:
        self._queues[queue].busy(sum(work.queue == queue for work in self._works.values()), at)
