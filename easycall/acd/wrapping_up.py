"""The wrap-ups that run: begun when an agent parts from a contact, ended by one timer or by the agent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from easycall.acd.agent import NotNow, Step
from easycall.acd.wrapup import NO_WRAP_UP, WrapUp, WrapUpRules
from easycall.events import DispositionSet, WrapUpEnded
from easycall.model import Agent, AgentState, DispositionRule

if TYPE_CHECKING:
    from easycall.acd.staff import Staff

__all__ = ["MISSING", "WrapUps"]

MISSING = "disposition missing"
"""Why an agent is not ready who has not said in time what came of a contact."""

DISPOSABLE = frozenset({AgentState.TALKING, AgentState.HELD, AgentState.WRAP_UP})
"""When an agent may say what came of the contact."""


class WrapUps:
    """See the module.  Every method raises KeyError for an unknown agent."""

    def __init__(self, staff: Staff, clock: IReactorTime) -> None:
        self._staff = staff
        self._clock = clock
        self._running: dict[str, WrapUp] = {}
        self._timers: dict[str, IDelayedCall] = {}
        self._stopped = False

    def begin(self, agent_id: str, rules: WrapUpRules) -> None:
        """The agent's contact is over: wrap-up runs, then the agent is ready, or what was asked for meanwhile."""
        agent = self._staff.agents[agent_id]
        wrap_up = WrapUp(rules, self._clock.seconds(), disposed=bool(agent.disposition))
        self._staff.step(agent_id, Step.PARTED, until=wrap_up.ends, contact=agent.contact)
        self._run(agent_id, wrap_up)

    def resume(self, agent_id: str) -> None:
        """The agent was in wrap-up when the process before us ended: it ends when it was to end then."""
        agent = self._staff.agents[agent_id]
        queue = self._staff.queues.get(agent.queue)
        rules = WrapUpRules.of(queue) if queue is not None else NO_WRAP_UP
        self._run(agent_id, WrapUp.until(agent.until, rules, agent.since, disposed=bool(agent.disposition)))

    def extend(self, agent_id: str, seconds: float, by: str = "") -> None:
        """The wrap-up lasts so much longer.  Raises NotNow when there is none, or beyond what its queue allows."""
        agent = self._staff.agents[agent_id]
        self._change(agent, self._of(agent).extend(seconds, self._clock.seconds()), by)

    def end(self, agent_id: str, by: str = "", *, forced: bool = False) -> None:
        """The wrap-up ends now.

        Raises NotNow when there is none, or a required disposition is missing and it is not ``forced``.
        """
        wrap_up = self._of(self._staff.agents[agent_id])
        if not forced:
            wrap_up.check_end()
        self._staff.step(agent_id, Step.WRAPPED_UP, by=by)
        self._staff.freed()

    def check_end(self, agent_id: str) -> None:
        """Raises NotNow when a wrap-up runs that must not be ended yet."""
        if (wrap_up := self._running.get(agent_id)) is not None:
            wrap_up.check_end()

    def dispose(self, agent_id: str, disposition: str, by: str = "") -> None:
        """The agent says what came of the contact; saying it again replaces it.

        Raises NotNow without a contact or where its queue has no dispositions, ValueError for one it does not have.
        """
        agent = self._staff.agents[agent_id]
        if agent.state not in DISPOSABLE:
            raise NotNow(f"{agent_id} is {agent.state.value.replace('_', ' ')}: there is no contact to say it of")
        queue = self._staff.queues[agent.queue]
        if queue.disposition is DispositionRule.OFF:
            raise NotNow(f"queue {queue.id} has no dispositions")
        if disposition not in queue.dispositions:
            raise ValueError(f"disposition {disposition!r} is none of {queue.id}: {', '.join(queue.dispositions)}")
        agent.disposition = disposition
        self._staff.record(
            DispositionSet(
                at=self._clock.seconds(),
                contact=agent.contact,
                agent=agent_id,
                queue=queue.id,
                disposition=disposition,
                by=by,
            )
        )
        wrap_up = self._running.get(agent_id)
        if wrap_up is None:
            self._staff.tell(agent, by)
        else:
            self._change(agent, wrap_up.dispose(), by)

    def drop(self, agent_id: str) -> None:
        """The agent wraps up no more."""
        wrap_up, now = self._running.pop(agent_id, None), self._clock.seconds()
        if wrap_up is not None and now > wrap_up.began:
            agent = self._staff.agents[agent_id]
            facts = {"contact": agent.contact, "agent": agent_id, "queue": agent.queue}
            self._staff.record(WrapUpEnded(at=now, started=wrap_up.began, **facts))
        self._disarm(agent_id)

    def _disarm(self, agent_id: str) -> None:
        timer = self._timers.pop(agent_id, None)
        if timer is not None and timer.active():
            timer.cancel()

    def stop(self) -> None:
        """Drop all timers."""
        self._stopped = True
        for agent_id in tuple(self._timers):
            self.drop(agent_id)

    def _of(self, agent: Agent) -> WrapUp:
        wrap_up = self._running.get(agent.id)
        if wrap_up is None:
            raise NotNow(f"{agent.id} is {agent.state.value.replace('_', ' ')}: there is no wrap-up")
        return wrap_up

    def _change(self, agent: Agent, wrap_up: WrapUp, by: str) -> None:
        agent.until = wrap_up.ends
        self._staff.tell(agent, by)
        self._run(agent.id, wrap_up)

    def _run(self, agent_id: str, wrap_up: WrapUp) -> None:
        self._disarm(agent_id)
        self._running[agent_id] = wrap_up
        left = wrap_up.ends - self._clock.seconds()
        if left > 0 and not self._stopped:
            self._timers[agent_id] = self._clock.callLater(left, self._over, agent_id)
        else:
            self._over(agent_id)

    def _over(self, agent_id: str) -> None:
        agent = self._staff.agents[agent_id]
        if self._running[agent_id].missing and (agent.wants is None or agent.wants[0] is AgentState.READY):
            agent.wants = (AgentState.NOT_READY, MISSING)
        self._staff.step(agent_id, Step.WRAPPED_UP)
        self._staff.freed()
