"""The route of the live feed; :mod:`easycall.api.feed` is what it leads to."""

from __future__ import annotations

from twisted.web.websocket import WebSocketResource

from easycall.api.auth import Right, allow, allow_agent
from easycall.api.conduct import Staff
from easycall.api.exchange import read_query
from easycall.api.feed import Feed
from easycall.api.problems import unknown
from easycall.api.routes import route
from easycall.api.site import BoundedRequest

__all__ = ["LiveRoutes"]


class LiveRoutes:
    """What ``/api/v1/live`` answers."""

    def __init__(self, staff: Staff, feed: Feed) -> None:
        self._staff = staff
        self._feed = feed

    @route("GET", "/api/v1/live")
    def live(self, request: BoundedRequest) -> WebSocketResource:
        """The events of the journal as they happen; ``?agent=ID``: one agent's."""
        allow(request, Right.READ)
        agent_id = read_query(request, "agent").get("agent", request.token.agent)
        agent = self._staff.agents.get(agent_id)
        if agent_id and agent is None:
            raise unknown("agent", agent_id)
        allow_agent(request, agent_id)
        contact, work = (agent.contact, agent.work) if agent is not None else ("", ())
        return self._feed.subscribe(request, agent_id, contact, work)
