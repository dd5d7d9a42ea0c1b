"""The routes of agents: who they are, log in and out, ready and not ready."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from easycall.api.auth import Right, allow, allow_agent
from easycall.api.conduct import Staff
from easycall.api.exchange import answer_json, read_body
from easycall.api.problems import Problem, unknown
from easycall.api.routes import route
from easycall.api.schemas import LogIn, Nothing, SetState, agent_view
from easycall.api.site import BoundedRequest
from easycall.model import AgentState
from easycall.verbs import NotNow

__all__ = ["AgentRoutes"]


class AgentRoutes:
    """What the routes below ``/api/v1/agents`` answer."""

    def __init__(self, staff: Staff) -> None:
        self._staff = staff

    @route("GET", "/api/v1/agents")
    def agents(self, request: BoundedRequest) -> bytes:
        """Every agent."""
        allow(request, Right.READ)
        return answer_json(request, {"agents": [agent_view(agent) for agent in self._staff.agents.values()]})

    @route("GET", "/api/v1/agents/<agent_id>")
    def agent(self, request: BoundedRequest, agent_id: str) -> bytes:
        """One agent."""
        allow(request, Right.READ)
        if agent_id not in self._staff.agents:
            raise unknown("agent", agent_id)
        return answer_json(request, agent_view(self._staff.agents[agent_id]))

    @route("POST", "/api/v1/agents/<agent_id>/login")
    def log_in(self, request: BoundedRequest, agent_id: str) -> bytes:
        """Log an agent in with a phone."""
        allow(request, Right.CONTROL)
        wish = read_body(request, LogIn)
        return self._change(request, agent_id, lambda: self._staff.log_in(agent_id, wish.phone or "", wish.queues))

    @route("POST", "/api/v1/agents/<agent_id>/logout")
    def log_out(self, request: BoundedRequest, agent_id: str) -> bytes:
        """Log an agent out."""
        allow(request, Right.CONTROL)
        read_body(request, Nothing)
        return self._change(request, agent_id, lambda: self._staff.log_out(agent_id))

    @route("PUT", "/api/v1/agents/<agent_id>/state")
    def set_state(self, request: BoundedRequest, agent_id: str) -> bytes:
        """Make an agent ready or not ready."""
        allow(request, Right.CONTROL)
        wish = read_body(request, SetState)
        state = AgentState(wish.state)
        return self._change(request, agent_id, lambda: self._staff.set_state(agent_id, state, wish.reason))

    def _change(self, request: BoundedRequest, agent_id: str, change: Callable[[], None]) -> bytes:
        if agent_id not in self._staff.agents:
            raise unknown("agent", agent_id)
        allow_agent(request, agent_id)
        try:
            change()
        except NotNow as why:
            raise Problem(HTTPStatus.CONFLICT, str(why)) from None
        except ValueError as why:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(why)) from None
        return answer_json(request, agent_view(self._staff.agents[agent_id]))
