"""The desktops of agents: each holds a lease by its connection, and who has lost it is offered nothing until it is back.

An agent who never had a desktop (a telephone alone, or a program that acts over the API) is not concerned.
"""

from __future__ import annotations

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from easycall.acd.staff import Staff
from easycall.model import AgentState

__all__ = ["Desktops"]


class Desktops:
    """See the module."""

    def __init__(self, staff: Staff, clock: IReactorTime, seconds: float) -> None:
        """``seconds``: how long a desktop may be gone."""
        self._staff = staff
        self._clock = clock
        self._seconds = seconds
        self._leases: dict[str, IDelayedCall] = {}
        """Agents whose desktop is gone -> the end of the lease."""
        self._stopped = False
        staff.when_desk_left(self._drop)

    def came(self, agent_id: str) -> None:
        """The agent's desktop is there."""
        self._drop(agent_id)
        self._staff.desktop_came(agent_id)

    def went(self, agent_id: str) -> None:
        """The agent's desktop is gone: perhaps it comes back."""
        self._drop(agent_id)
        agent = self._staff.agents[agent_id]
        if agent.state is AgentState.OFFLINE:
            agent.desktop = False
        elif not self._stopped:
            self._leases[agent_id] = self._clock.callLater(self._seconds, self._lost, agent_id)

    def recovered(self) -> None:
        """The daemon has begun, and restored the agents: whoever had a desktop has to come back with it."""
        for agent in self._staff.agents.values():
            if agent.desktop and not agent.desktop_lost:
                self.went(agent.id)

    def stop(self) -> None:
        """Nobody loses a lease any more."""
        self._stopped = True
        for agent_id in tuple(self._leases):
            self._drop(agent_id)

    def _drop(self, agent_id: str) -> None:
        lease = self._leases.pop(agent_id, None)
        if lease is not None:
            lease.cancel()

    def _lost(self, agent_id: str) -> None:
        del self._leases[agent_id]
        self._staff.desktop_lost(agent_id)
