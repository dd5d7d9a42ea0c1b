"""The agents as they were when the process before us ended."""

from __future__ import annotations

from collections.abc import Mapping

from twisted.logger import Logger

from easycall.acd.desktops import Desktops
from easycall.acd.staff import Staff
from easycall.model import AgentState
from easycall.stats.standing import AgentStands

__all__ = ["restore"]

log = Logger()


def restore(staff: Staff, desktops: Desktops, left: Mapping[str, AgentStands]) -> None:
    """Everybody who was logged in is again, in the same state and since the same time.

    Who was held by a contact is so until the contact says otherwise; a desktop has to come back, as after any loss.
    """
    for agent_id, was in left.items():
        if was.latest is None or was.state is AgentState.OFFLINE:
            continue
        if agent_id not in staff.agents:
            log.warn("agent {agent} was logged in and is configured no more", agent=agent_id)
            continue
        staff.restore(agent_id, was.latest, was.since, was.idle_since)
    desktops.recovered()
