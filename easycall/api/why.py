"""The routes that say why a contact waits, why an agent has nothing to do, and who was chosen for whom."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo
from typing import Any

from twisted.internet.interfaces import IReactorTime

from easycall.acd.decisions import Decision
from easycall.acd.why import ContactWhy, Exclusion, Told
from easycall.api.auth import Right, allow, allow_agent, concerns, took_part
from easycall.api.conduct import Contacts, Distributor, Journal, Staff
from easycall.api.exchange import answer_json
from easycall.api.problems import unknown
from easycall.api.routes import route
from easycall.api.schemas import agent_view
from easycall.api.site import BoundedRequest
from easycall.model import AgentState
from easycall.supervision.scene import may_supervise

__all__ = ["WhyRoutes"]

MOST = 200
"""Agents, or items, in one answer."""
DECISIONS = 20
"""Decisions in one answer."""


class WhyRoutes:
    """What ``/api/v1/contacts/{id}/why`` and ``/api/v1/agents/{id}/why`` answer."""

    def __init__(
        self, *, staff: Staff, distributor: Distributor, contacts: Contacts, journal: Journal, clock: IReactorTime
    ) -> None:
        self._staff = staff
        self._distributor = distributor
        self._contacts = contacts
        self._journal = journal
        self._clock = clock

    @route("GET", "/api/v1/contacts/<contact_id>/why")
    async def contact(self, request: BoundedRequest, contact_id: str) -> bytes:
        """Why a contact waits, if it does, and the last decisions about it."""
        allow(request, Right.READ)
        live = self._contacts.live.get(contact_id)
        if live is None or not concerns(request, live):
            found = await self._journal.record_of(contact_id)
            if found is None or not took_part(request, found[0]):
                raise unknown("contact", contact_id)
        now = self._clock.seconds()
        why = self._distributor.why_contact(contact_id, _zone(now), MOST)
        decisions = self._distributor.decided(DECISIONS, contact=contact_id)
        waits = None if why is None else self._waits(why)
        return answer_json(request, {"contact": contact_id, "at": now, "waits": waits, "decisions": _views(decisions)})

    @route("GET", "/api/v1/agents/<agent_id>/why")
    def agent(self, request: BoundedRequest, agent_id: str) -> bytes:
        """What keeps an agent and those who wait apart, and the last decisions about the agent."""
        allow(request, Right.READ)
        agent = self._staff.agents.get(agent_id)
        if agent is None:
            raise unknown("agent", agent_id)
        self._may_ask(request, agent_id)
        now = self._clock.seconds()
        why = self._distributor.why_agent(agent_id, _zone(now), MOST)
        shown = agent_view(agent)
        view = {
            "agent": agent_id,
            "at": now,
            **{name: shown[name] for name in ("state", "reason", "until", "hindrance", "contact")},
            "idle": why is not None and why.idle,
            "items": [] if why is None else [_told(one) for one in why.items],
            "more": 0 if why is None else why.more,
            "decisions": _views(self._distributor.decided(DECISIONS, agent=agent_id)),
        }
        return answer_json(request, view)

    def _waits(self, why: ContactWhy) -> dict[str, Any]:
        """A contact that waits; agents who are logged out come behind those who are not."""
        offline = [
            Told(agent.id, False, (Exclusion("offline"),))
            for agent in self._staff.agents.values()
            if agent.state is AgentState.OFFLINE and not set(why.groups).isdisjoint(agent.own_queues)
        ]
        agents = [*why.agents, *offline]
        return {
            "queue": why.queue,
            "queues": why.groups,
            "position": why.position,
            "score": round(why.score, 3),
            "ring": why.ring,
            "reserved": why.reserved or None,
            "requires": why.requires,
            "priority": why.priority,
            "owner": {"agent": why.owner, "until": why.owner_until} if why.owner else None,
            "agents": [_told(one) for one in agents[:MOST]],
            "more": why.more + len(agents[MOST:]),
        }

    def _may_ask(self, request: BoundedRequest, agent_id: str) -> None:
        """Let the agent pass, and who supervises the agent.  Raises Problem (403)."""
        token, agent = request.token, self._staff.agents[agent_id]
        asker = self._staff.agents.get(token.agent)
        supervises = asker is not None and may_supervise(asker.supervises, {*agent.queues, *agent.own_queues})
        if not (supervises and Right.SUPERVISE in token.rights):
            allow_agent(request, agent_id)


def _zone(now: float) -> tzinfo:
    """Of the clock on the wall beside the daemon: what is told in words is for people."""
    return datetime.fromtimestamp(now, UTC).astimezone().tzinfo or UTC


def _told(told: Told) -> dict[str, Any]:
    view = {
        "id": told.id,
        "eligible": told.eligible,
        "why": [{"words": one.words, "until": one.until} for one in told.why],
    }
    return view if told.score is None else {**view, "score": round(told.score, 3)}


def _views(decisions: Iterable[Decision]) -> list[dict[str, Any]]:
    """Decisions as the API shows them."""
    return [
        {
            "at": one.at,
            "contact": one.contact,
            "agent": one.agent,
            "score": round(one.score, 3),
            "ring": one.ring,
            "idle": one.idle,
            "at_least": one.at_least,
            "runners_up": [
                {"id": other.id, "score": None if other.score is None else round(other.score, 3)} for other in one.runners
            ],
            "strategy": one.note or None,
        }
        for one in decisions
    ]
