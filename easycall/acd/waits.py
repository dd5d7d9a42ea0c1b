"""The expected waits of all queues: what :mod:`easycall.acd.expectation` learns from, and who asks it.

It listens to the journal, as statistics do, and looks at the distributor for the line and the agents of the moment.  What is
expected of a contact that has to wait is told, and learnt from when the wait is over (:mod:`easycall.acd.lessons`).  Until
enough was learnt there is a belief, and callers are told nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from attrs import frozen

from easycall.acd.expectation import free_agents, working_agents
from easycall.acd.lessons import Lessons
from easycall.events import Event, Queued, WaitExpected
from easycall.model import Agent, Queue
from easycall.policy import AT_DESK, Channel

__all__ = ["Forecast", "Line", "Waits"]


UNEXPECTED = AT_DESK | {Channel.CALLBACK}
"""Of their waits nothing is expected or learnt: nobody stays on the line for these, and would give up."""


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


class Waits:
    """What is expected of the waits of a daemon."""

    def __init__(
        self,
        line: Line,
        agents: Mapping[str, Agent],
        now: Callable[[], float],
        record: Callable[[Event], None] = lambda event: None,
    ) -> None:
        """``agents``: all there are, as they are at any time; ``record``: where it is told what was expected."""
        self._line = line
        self._agents = agents
        self._now = now
        self._record = record
        self.lessons = Lessons(line.queues, {agent.id: agent.capacity for agent in agents.values()})
        """What was learnt."""

    def of_contact(self, contact: str) -> Forecast | None:
        """Of one that waits; None when it does not."""
        queue = self.lessons.queue_of(contact)
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

    def after(self, queue: str, ahead: int) -> float | None:
        """How long one with so many before it in the queue waits for an agent, in seconds; None when nobody can tell yet.

        Raises KeyError.
        """
        forecast = self._forecast(queue, {queue: ahead})
        return forecast.seconds if forecast.known else None

    def _forecast(self, queue: str, ahead: Mapping[str, int]) -> Forecast:
        expectation, agents = self.lessons.queues[queue], self._agents.values()
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
        self.lessons.take(sequence, event)
        if isinstance(event, Queued) and event.channel not in UNEXPECTED:
            self._expect(event)

    def _expect(self, event: Queued) -> None:
        """One for whom an agent is free does not wait: nothing is expected of it."""
        queue, agents, ahead = event.queue, self._agents.values(), self._line.ahead(event.contact)
        mine = ahead.get(queue, 0)
        if free_agents(queue, agents) > mine:
            return
        since, team = event.since or event.at, working_agents(queue, agents, ahead)
        formula, head = self.lessons.queues[queue].foreseen(mine, team, event.at, since)
        told = WaitExpected(at=event.at, contact=event.contact, queue=queue, since=since, formula=formula, head=head)
        self._record(told)
