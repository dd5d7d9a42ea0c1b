"""What the events of a centre teach about the waits in its queues.  Pure: a fold over events.

:mod:`easycall.acd.expectation` says what is learnt of one queue; here it is told what happens there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from attrs import define

from easycall.acd.expectation import Expectation
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
    WaitExpected,
)
from easycall.model import AgentState, EndedBy, Queue
from easycall.policy import AT_DESK, Capacity, Channel

__all__ = ["HOLDING", "LEARNT_SECONDS", "Lessons"]

HOLDING = frozenset(
    {AgentState.RESERVED, AgentState.RINGING, AgentState.TALKING, AgentState.HELD, AgentState.WRAP_UP},
)
"""States in which an agent has a contact."""

LEARNT_SECONDS = 3 * 86_400.0
"""What is older is not read back after a restart: three days, so that a Monday begins with what Friday taught."""


@define
class _Work:
    """What an agent is held by."""

    queue: str
    talked: bool = False


class Lessons:
    """Of all queues.  A :class:`easycall.stats.history.Figure`."""

    name: ClassVar[str] = "expected_wait"
    kinds: ClassVar[Sequence[type[Event]]] = (
        *(Queued, WaitExpected, Offered, Answered, QueueLeft, Picked, FlowStep, VoicemailStarted, ContactEnded),
        AgentChanged,
    )

    def __init__(self, queues: Mapping[str, Queue], capacities: Mapping[str, Capacity]) -> None:
        """``capacities``: how much work without a call each agent has at once."""
        self._configured = queues
        self._capacities = capacities
        self.queues = {queue.id: Expectation(queue.wrap_up_seconds, 0.0) for queue in queues.values()}
        self._queue_of: dict[str, str] = {}
        """Contact -> the queue it waited in last, until it ends."""
        self._offered: dict[str, float] = {}
        """Contact -> when an agent was rung for it last."""
        self._works: dict[str, _Work] = {}
        self._free: dict[str, Sequence[str]] = {}
        """Agent who could take a call -> the queues served."""

    def queue_of(self, contact: str) -> str:
        """The queue that a contact waited in last; empty: none, or it ended."""
        return self._queue_of.get(contact, "")

    # A figure

    def since(self, now: float) -> float:
        """From which moment on it is learnt."""
        return now - LEARNT_SECONDS

    def anew(self) -> Lessons:
        """Nothing learnt yet."""
        return Lessons(self._configured, self._capacities)

    def become(self, other: Lessons) -> None:
        """Know what the other one knows, which is not used any more."""
        self.queues, self._queue_of, self._offered = other.queues, other._queue_of, other._offered
        self._works, self._free = other._works, other._free

    def take(self, sequence: int, event: Event) -> None:
        """A listener of the journal."""
        match event:
            case Queued() if event.channel in AT_DESK:
                pass  # a message that waits for hours says nothing of how long a caller will
            case Queued():
                self._elsewhere(event)
                self._queue_of[event.contact] = event.queue
            case WaitExpected():
                if expectation := self._waits_in(event.contact):
                    expectation.joined(event.contact, event.at, event.since, (event.formula, event.head))
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
        return self.queues.get(self._queue_of.get(contact, ""))

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
            queue = self._queue_of[event.contact]
            expectation.gave_up(event.contact, event.at, any(queue in served for served in self._free.values()))

    def _agent_changed(self, event: AgentChanged) -> None:
        self._free.pop(event.agent, None)
        work = self._works.get(event.agent)
        if event.state in HOLDING:
            queue = self._queue_of.get(event.contact, "")
            if work is None and queue in self.queues:
                work = self._works[event.agent] = _Work(queue)
                self._count(queue, event.at)
            if work is not None and event.state is AgentState.TALKING:
                work.talked = True
            return
        if work is not None:
            del self._works[event.agent]
            if work.talked:
                self.queues[work.queue].done(event.at)
            self._count(work.queue, event.at)
        if event.state is AgentState.READY and not event.hindrance:
            self._is_free(event)

    def _is_free(self, event: AgentChanged) -> None:
        capacity = self._capacities.get(event.agent)
        if capacity is None or Channel.CALL in capacity.free(tuple(sorted(event.work.values()))):
            self._free[event.agent] = event.queues
        for queue in event.queues:
            if queue in self.queues:
                self.queues[queue].free(event.at)

    def _count(self, queue: str, at: float) -> None:
        self.queues[queue].busy(sum(work.queue == queue for work in self._works.values()), at)
