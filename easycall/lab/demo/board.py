"""What the board of a busy contact centre shows: figures folded from the events, and what is so at the moment.  Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from attrs import frozen

from easycall.events import AgentChanged, ContactArrived, ContactEnded, Event, FlowStep, Queued, ScreenPop, ScreenPopRevoked
from easycall.lab.day.figures import Figures
from easycall.model import Agent, AgentState, Outcome, Queue
from easycall.policy import WorkItem
from easycall.stats.journey import journey

__all__ = ["AgentRow", "Board", "QueueRow", "View"]

LAST = 6
"""Events shown."""
UNTOLD = (AgentChanged, FlowStep, ScreenPop, ScreenPopRevoked)
"""Events that say what another one says, or what the table of agents shows."""


@frozen
class QueueRow:
    """A queue at a moment, and since the beginning."""

    name: str
    waiting: int
    longest_wait: float
    """Seconds, of those who wait."""
    answered: int
    abandoned: int
    average_wait: float
    """Seconds, of the answered."""
    service_level: float
    """The share of those whose wait is over who were answered in time, from 0 to 1."""


@frozen
class AgentRow:
    """An agent at a moment."""

    name: str
    state: AgentState
    reason: str
    seconds: float
    """Since when it is so."""
    caller: str
    """Whom the agent is busy with."""


@frozen
class View:
    """The board at a moment."""

    seconds: float
    """Since the beginning."""
    calls: int
    queues: tuple[QueueRow, ...]
    agents: tuple[AgentRow, ...]
    last: tuple[tuple[float, str], ...]
    """The last events: seconds since the beginning, and a line."""


class Board:
    """Takes every event."""

    def __init__(self, began: float) -> None:
        """``began``: when the seconds begin to count."""
        self._began = began
        self._calls = 0
        self._figures: dict[str, Figures] = {}
        self._queues: dict[str, str] = {}
        self._callers: dict[str, str] = {}
        self._last: deque[tuple[float, str]] = deque(maxlen=LAST)

    def take(self, sequence: int, event: Event) -> None:
        """One more event."""
        if isinstance(event, ContactArrived):
            self._calls += 1
            self._callers[event.contact] = event.caller_name or event.caller or "somebody"
        if isinstance(event, Queued):
            self._queues[event.contact] = event.queue
        if queue := self._queues.get(event.contact):
            self._of(queue).take(event)
        if not isinstance(event, UNTOLD):
            [step] = journey([(sequence, event)])
            who = self._callers.get(event.contact, "easycall")
            self._last.append((event.at - self._began, f"{who}: {step.text}"))
        if isinstance(event, ContactEnded):
            self._queues.pop(event.contact, None)
            self._callers.pop(event.contact, None)

    def _of(self, queue: str) -> Figures:
        return self._figures.setdefault(queue, Figures())

    def view(self, now: float, lines: Mapping[Queue, list[WorkItem]], agents: Iterable[Agent]) -> View:
        """The board now; ``lines``: who waits in each queue."""
        return View(
            seconds=now - self._began,
            calls=self._calls,
            queues=tuple(self._queue_row(queue, line, now) for queue, line in lines.items()),
            agents=tuple(self._agent_row(agent, now) for agent in agents),
            last=tuple(self._last),
        )

    def _queue_row(self, queue: Queue, line: list[WorkItem], now: float) -> QueueRow:
        figures = self._of(queue.id)
        abandoned = figures.outcomes[Outcome.ABANDONED]
        decided = figures.answered + abandoned
        return QueueRow(
            queue.name,
            waiting=len(line),
            longest_wait=max((now - item.enqueued for item in line), default=0.0),
            answered=figures.answered,
            abandoned=abandoned,
            average_wait=figures.average_wait,
            service_level=figures.in_time / decided if decided else 1.0,
        )

    def _agent_row(self, agent: Agent, now: float) -> AgentRow:
        return AgentRow(agent.name, agent.state, agent.reason, now - agent.since, self._callers.get(agent.contact, ""))
