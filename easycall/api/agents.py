"""The routes of agents: who they are, log in and out, states, queues and skills, and the end of a contact."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from http import HTTPStatus

from easycall.api.auth import Right, allow, allow_agent
from easycall.api.conduct import Journal, Profiles, Staff
from easycall.api.exchange import answer_json, read_body
from easycall.api.problems import Problem, unknown
from easycall.api.routes import route
from easycall.api.schemas import (
    Dispose,
    Extend,
    LogIn,
    Nothing,
    SetQueues,
    SetSkills,
    SetState,
    agent_view,
)
from easycall.api.site import BoundedRequest
from easycall.model import SKILL, AgentState
from easycall.supervision.scene import may_supervise
from easycall.verbs import NotNow

__all__ = ["AgentRoutes"]


class AgentRoutes:
    """What the routes below ``/api/v1/agents`` answer.

    An agent's own token acts for that agent; a supervisor's, which needs the right ``supervise``, for the agents of the
    queues in ``agents.ID.supervises``; a token of nobody for all.
    """

    def __init__(self, staff: Staff, profiles: Profiles, journal: Journal) -> None:
        self._staff = staff
        self._profiles = profiles
        self._journal = journal

    @route("GET", "/api/v1/agents")
    def agents(self, request: BoundedRequest) -> bytes:
        """Every agent."""
        allow(request, Right.READ)
        return answer_json(request, {"agents": [agent_view(agent) for agent in self._staff.agents.values()]})

    @route("GET", "/api/v1/reasons")
    def reasons(self, request: BoundedRequest) -> bytes:
        """Why an agent may be not ready; ``free``: in words of one's own."""
        allow(request, Right.READ)
        return answer_json(request, {"reasons": self._staff.reasons, "free": not self._staff.reasons})

    @route("GET", "/api/v1/agents/<agent_id>")
    def agent(self, request: BoundedRequest, agent_id: str) -> bytes:
        """One agent."""
        allow(request, Right.READ)
        return self._shown(request, agent_id)

    # States

    @route("POST", "/api/v1/agents/<agent_id>/login")
    def log_in(self, request: BoundedRequest, agent_id: str) -> bytes:
        """Log an agent in with a phone."""
        self._acts_for(request, agent_id)
        wish = read_body(request, LogIn)
        with _refusals():
            self._staff.log_in(agent_id, wish.phone or "", wish.queues, by=request.token.name)
        return self._shown(request, agent_id)

    @route("POST", "/api/v1/agents/<agent_id>/logout")
    def log_out(self, request: BoundedRequest, agent_id: str) -> bytes:
        """Log an agent out."""
        self._acts_for(request, agent_id)
        read_body(request, Nothing)
        with _refusals():
            self._staff.log_out(agent_id, by=request.token.name)
        return self._shown(request, agent_id)

    @route("PUT", "/api/v1/agents/<agent_id>/state")
    def set_state(self, request: BoundedRequest, agent_id: str) -> bytes:
        """Make an agent ready or not ready."""
        forced = self._acts_for(request, agent_id)
        wish = read_body(request, SetState)
        with _refusals():
            state = AgentState(wish.state)
            self._staff.set_state(agent_id, state, wish.reason, by=request.token.name, forced=forced)
        return self._shown(request, agent_id)

    # The end of a contact

    @route("PUT", "/api/v1/agents/<agent_id>/disposition")
    async def dispose(self, request: BoundedRequest, agent_id: str) -> bytes:
        """Say what came of the agent's contact; answered when it is stored."""
        self._acts_for(request, agent_id)
        wish = read_body(request, Dispose)
        contact = self._staff.agents[agent_id].contact
        with _refusals():
            self._staff.wrap_ups.dispose(agent_id, wish.disposition, by=request.token.name)
        await self._journal.flush()
        return answer_json(request, {"agent": agent_id, "contact": contact, "disposition": wish.disposition})

    @route("POST", "/api/v1/agents/<agent_id>/wrap-up/extend")
    def extend(self, request: BoundedRequest, agent_id: str) -> bytes:
        """Let the wrap-up last longer."""
        self._acts_for(request, agent_id)
        wish = read_body(request, Extend)
        with _refusals():
            self._staff.wrap_ups.extend(agent_id, wish.seconds, by=request.token.name)
        return self._shown(request, agent_id)

    @route("POST", "/api/v1/agents/<agent_id>/wrap-up/end")
    def end(self, request: BoundedRequest, agent_id: str) -> bytes:
        """End the wrap-up now."""
        forced = self._acts_for(request, agent_id)
        read_body(request, Nothing)
        with _refusals():
            self._staff.wrap_ups.end(agent_id, by=request.token.name, forced=forced)
        return self._shown(request, agent_id)

    # Queues and skills, which outlive the daemon

    @route("PUT", "/api/v1/agents/<agent_id>/queues")
    async def set_queues(self, request: BoundedRequest, agent_id: str) -> bytes:
        """The agent's queues are these."""
        self._acts_for(request, agent_id)
        queues = tuple(dict.fromkeys(read_body(request, SetQueues).queues))
        changed = set(queues) ^ set(self._staff.agents[agent_id].own_queues)
        self._may_assign(request, agent_id, changed & set(self._staff.queues))
        return await self._kept(request, agent_id, lambda by: self._profiles.set_queues(agent_id, queues, by))

    @route("PUT", "/api/v1/agents/<agent_id>/queues/<queue>")
    async def join(self, request: BoundedRequest, agent_id: str, queue: str) -> bytes:
        """The agent serves this queue too."""
        self._about_queue(request, agent_id, queue)
        return await self._kept(request, agent_id, lambda by: self._profiles.join(agent_id, queue, by))

    @route("DELETE", "/api/v1/agents/<agent_id>/queues/<queue>")
    async def leave(self, request: BoundedRequest, agent_id: str, queue: str) -> bytes:
        """The agent serves this queue no more."""
        self._about_queue(request, agent_id, queue)
        return await self._kept(request, agent_id, lambda by: self._profiles.leave(agent_id, queue, by))

    @route("PUT", "/api/v1/agents/<agent_id>/skills")
    async def set_skills(self, request: BoundedRequest, agent_id: str) -> bytes:
        """The agent's skills are these."""
        self._supervises(request, agent_id)
        skills = read_body(request, SetSkills).skills
        if wrong := [name for name in skills if not SKILL.fullmatch(name)]:
            detail = f"{wrong[0]!r} is no name of a skill: a letter, then up to 63 letters, digits and _ : -"
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, field="skills")
        return await self._kept(request, agent_id, lambda by: self._profiles.set_skills(agent_id, skills, by))

    @route("DELETE", "/api/v1/agents/<agent_id>/profile")
    async def reset(self, request: BoundedRequest, agent_id: str) -> bytes:
        """Queues and skills are those of the configuration again."""
        self._supervises(request, agent_id)
        read_body(request, Nothing)
        return await self._kept(request, agent_id, lambda by: self._profiles.reset(agent_id, by))

    async def _kept(self, request: BoundedRequest, agent_id: str, change: Callable[[str], Awaitable[None]]) -> bytes:
        """The answer once the change is stored."""
        with _refusals():
            await change(request.token.name)
        return self._shown(request, agent_id)

    def _about_queue(self, request: BoundedRequest, agent_id: str, queue: str) -> None:
        self._acts_for(request, agent_id)
        read_body(request, Nothing)
        if queue not in self._staff.queues:
            raise unknown("queue", queue)
        self._may_assign(request, agent_id, {queue})

    # Who may

    def _acts_for(self, request: BoundedRequest, agent_id: str) -> bool:
        """Let who may act for the agent pass; whether it is by the right to supervise.  Raises Problem (403, 404)."""
        token = request.token
        supervises = token.agent != agent_id and Right.SUPERVISE in token.rights
        allow(request, Right.SUPERVISE if supervises else Right.CONTROL)
        if agent_id not in self._staff.agents:
            raise unknown("agent", agent_id)
        if not supervises:
            allow_agent(request, agent_id)
            return False
        self._supervises(request, agent_id)
        return True

    def _supervises(self, request: BoundedRequest, agent_id: str) -> None:
        """Let who may supervise the agent pass.  Raises Problem (403, 404)."""
        allow(request, Right.SUPERVISE)
        agent = self._staff.agents.get(agent_id)
        if agent is None:
            raise unknown("agent", agent_id)
        self._check_supervises(request.token.agent, {*agent.queues, *agent.own_queues}, f"agent {agent_id}")

    def _may_assign(self, request: BoundedRequest, agent_id: str, queues: Iterable[str]) -> None:
        """Let a supervisor pass who supervises each of these queues.  Raises Problem (403)."""
        if request.token.agent == agent_id:
            return
        for queue in sorted(queues):
            self._check_supervises(request.token.agent, {queue}, f"queue {queue}")

    def _check_supervises(self, supervisor: str, queues: set[str], what: str) -> None:
        if supervisor and not may_supervise(self._staff.agents[supervisor].supervises, queues):
            detail = f"{supervisor} may not supervise {what}: see agents.{supervisor}.supervises"
            raise Problem(HTTPStatus.FORBIDDEN, detail)

    def _shown(self, request: BoundedRequest, agent_id: str) -> bytes:
        if agent_id not in self._staff.agents:
            raise unknown("agent", agent_id)
        return answer_json(request, agent_view(self._staff.agents[agent_id]))


@contextmanager
def _refusals() -> Iterator[None]:
    """What is refused, as the API says it."""
    try:
        yield
    except NotNow as why:
        raise Problem(HTTPStatus.CONFLICT, str(why)) from None
    except ValueError as why:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(why)) from None
