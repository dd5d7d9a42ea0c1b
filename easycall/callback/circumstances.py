"""What counts beside a callback itself: who is there, who is on the line, what time it is where the customer lives."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo

from twisted.internet.interfaces import IReactorTime

from easycall.callback.calling_hours import CallingHours, calling_hours
from easycall.callback.lifecycle import Facts, Verdict, is_late, judge
from easycall.callback.sources import Sources
from easycall.model import Agent, AgentState, Callback, Queue

__all__ = ["Circumstances"]


class Circumstances:
    """See the module."""

    def __init__(
        self, queues: Mapping[str, Queue], agents: Mapping[str, Agent], sources: Sources, site: tzinfo, clock: IReactorTime
    ) -> None:
        """``queues``, ``agents``: as they are at any time; ``site``: the time zone of customers of whom nothing is known."""
        self._queues = queues
        self._agents = agents
        self._sources = sources
        self._site = site
        self._clock = clock
        self._there: dict[str, dict[str, None]] = {}
        """Queue -> the agents who are logged in for it."""
        self._serves: dict[str, frozenset[str]] = {}
        """Agent who is logged in -> the queues served."""

    def agent_changed(self, name: str) -> frozenset[str]:
        """The queues that an agent serves now and did not before."""
        agent = self._agents.get(name)
        if agent is None:
            return frozenset()
        before = self._serves.get(name, frozenset())
        after = frozenset(agent.queues) if agent.state is not AgentState.OFFLINE else frozenset()
        for queue in before - after:
            self._there[queue].pop(name, None)
        for queue in after - before:
            self._there.setdefault(queue, {})[name] = None
        self._serves[name] = after
        return after - before

    def judge(self, callback: Callback) -> Verdict:
        """Whether it may be made now, see :func:`easycall.callback.lifecycle.judge`."""
        there = self._there.get(callback.queue, {})
        on_the_line = self._sources.on_the_line(callback.number, but=callback.contact)
        facts = Facts(on_the_line=on_the_line, staffed=bool(there), owner_there=callback.agent in there)
        return judge(callback, self._queues[callback.queue], self._hours(callback), facts, self._clock.seconds())

    def is_late(self, callback: Callback) -> bool:
        """Whether it could have been made for so long that supervisors are to know."""
        return is_late(callback, self._queues[callback.queue], self._hours(callback), self._clock.seconds())

    def _hours(self, callback: Callback) -> CallingHours:
        queue = self._queues[callback.queue]
        hours = queue.callback.hours
        site = hours.zone if hours is not None else queue.hours.zone if queue.hours is not None else self._site
        return calling_hours(callback.number, hours, callback.zone, site)
