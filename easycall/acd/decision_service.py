"""The strategy ``https``: a service outside decides which of the idle agents gets a contact.

It is sent a case as a JSON object and answers ``{"agent": "ID"}``, or ``{}`` for the queue's own choice (docs/api.rst).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.interfaces import IReactorTime

from easycall.config.kinds import web_address
from easycall.config.strategies import Given
from easycall.policy import Candidate, Case
from easycall.ports import ServiceFailed
from easycall.secure.service import WebService

__all__ = ["DecisionService"]

CONNECTIONS = 4
"""So many are kept: no more than a few contacts are decided at the same moment."""
SECONDS = 5.0
"""The longest that a question may take, whatever ``seconds`` of the strategy is."""


class DecisionService:
    """See :class:`easycall.ports.Strategy` and :class:`easycall.ports.StrategyOutside`."""

    def __init__(self, given: Given) -> None:
        self._url: str = given.value("url", web_address)
        self._ca = given.certificates("ca")
        self._token = given.secret("token_file")
        self._service: WebService | None = None

    def start(self, reactor: Any, clock: IReactorTime) -> None:
        """The service can be asked."""
        self._service = WebService(
            reactor, clock, self._url, ca=self._ca, token=self._token, seconds=SECONDS, kept=CONNECTIONS
        )

    async def stop(self) -> None:
        """Close the connections that are kept."""
        if self._service is not None:
            await self._service.close()

    async def choose(self, case: Case) -> str | None:
        """Ask the service.  Raises ServiceFailed."""
        if self._service is None:
            raise ServiceFailed("the daemon is not up")
        agent = (await self._service.ask(_question(case))).get("agent")
        if agent is None:
            return None
        if not isinstance(agent, str):
            raise ServiceFailed('its answer has no text as "agent"')
        return agent


def _question(case: Case) -> Mapping[str, Any]:
    return {
        "contact": {
            "id": case.contact,
            "queue": case.queue,
            "channel": case.channel.value,
            "caller": case.caller,
            "dialled": case.dialled,
            "waited": round(case.waited, 3),
            "position": case.position,
            "score": round(case.score, 3),
            "skills": case.requires,
            "answers": dict(case.answers),
            "data": dict(case.data),
        },
        "chosen": case.chosen.id,
        "agents": [_agent(one) for one in (case.chosen, *case.others)],
    }


def _agent(one: Candidate) -> Mapping[str, Any]:
    return {
        "id": one.id,
        "skills": dict(one.skills),
        "queues": list(one.queues),
        "idle_seconds": round(one.idle_seconds, 3),
        "occupancy": round(one.occupancy, 4),
    }
