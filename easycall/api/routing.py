"""The routes of how queues choose: shown, and changed while contacts wait."""

from __future__ import annotations

from collections.abc import Awaitable
from http import HTTPStatus

import msgspec

from easycall.api.auth import Right, allow
from easycall.api.conduct import Distributor, QueueEdits, Staff
from easycall.api.exchange import answer_json, read_body
from easycall.api.problems import Problem, unknown
from easycall.api.routes import route
from easycall.api.schemas import EditRouting, Nothing
from easycall.api.site import BoundedRequest
from easycall.config import ConfigError
from easycall.supervision.scene import may_supervise

__all__ = ["RoutingRoutes"]


class RoutingRoutes:
    """What ``/api/v1/queues/{id}/routing`` answers."""

    def __init__(self, staff: Staff, distributor: Distributor, edits: QueueEdits) -> None:
        self._staff = staff
        self._distributor = distributor
        self._edits = edits

    @route("GET", "/api/v1/queues/<queue_id>/routing")
    def routing(self, request: BoundedRequest, queue_id: str) -> bytes:
        """How a queue chooses."""
        allow(request, Right.READ)
        return self._shown(request, queue_id)

    @route("PATCH", "/api/v1/queues/<queue_id>/routing")
    async def edit(self, request: BoundedRequest, queue_id: str) -> bytes:
        """Change it, for contacts that wait already too; answered when it is stored."""
        self._may_edit(request, queue_id)
        body = read_body(request, EditRouting)
        changes = {name: value for name, value in msgspec.structs.asdict(body).items() if value is not msgspec.UNSET}
        if not changes:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "nothing is to be changed: name an option")
        return await self._kept(request, queue_id, self._edits.change(queue_id, changes, request.token.name))

    @route("DELETE", "/api/v1/queues/<queue_id>/routing")
    async def reset(self, request: BoundedRequest, queue_id: str) -> bytes:
        """It is that of the configuration again."""
        self._may_edit(request, queue_id)
        read_body(request, Nothing)
        return await self._kept(request, queue_id, self._edits.reset(queue_id, request.token.name))

    async def _kept(self, request: BoundedRequest, queue_id: str, change: Awaitable[None]) -> bytes:
        """The answer once the change is stored.  Raises Problem (422)."""
        try:
            await change
        except ConfigError as error:
            faults = [(fault.key.removeprefix(f"queues.{queue_id}."), fault) for fault in error.faults]
            told = [f"{option} = {fault.value}: {fault.allowed}" for option, fault in faults if fault.value]
            told += [f"{option}: {fault.allowed}" for option, fault in faults if not fault.value]
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "; ".join(told), field=faults[0][0]) from None
        return self._shown(request, queue_id)

    def _may_edit(self, request: BoundedRequest, queue_id: str) -> None:
        """Let who administers pass, and who supervises the queue.  Raises Problem (403, 404)."""
        allow(request, Right.SUPERVISE, Right.ADMIN)
        if queue_id not in self._distributor.queues:
            raise unknown("queue", queue_id)
        asker = request.token.agent
        if Right.ADMIN in request.token.rights or not asker:
            return
        if not may_supervise(self._staff.agents[asker].supervises, {queue_id}):
            raise Problem(HTTPStatus.FORBIDDEN, f"{asker} may not supervise queue {queue_id}: see agents.{asker}.supervises")

    def _shown(self, request: BoundedRequest, queue_id: str) -> bytes:
        if queue_id not in self._distributor.queues:
            raise unknown("queue", queue_id)
        routing = self._edits.of(queue_id)
        edit = routing.edit
        view = {
            "queue": queue_id,
            **routing.now,
            "changed": {} if edit is None else edit.changed,
            "changed_at": None if edit is None else edit.at,
            "changed_by": None if edit is None else edit.by,
            "configured": routing.configured,
        }
        return answer_json(request, view)
