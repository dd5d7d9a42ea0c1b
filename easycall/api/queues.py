"""The route of queues: who waits in each, and who serves it."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from easycall.api.auth import Right, allow
from easycall.api.conduct import Distributor
from easycall.api.exchange import answer_json
from easycall.api.routes import route
from easycall.api.schemas import queue_view
from easycall.api.site import BoundedRequest

__all__ = ["QueueRoutes"]


class QueueRoutes:
    """What ``/api/v1/queues`` answers."""

    def __init__(self, distributor: Distributor, clock: IReactorTime) -> None:
        self._distributor = distributor
        self._clock = clock

    @route("GET", "/api/v1/queues")
    def queues(self, request: BoundedRequest) -> bytes:
        """Every queue with its line and its agents."""
        allow(request, Right.READ)
        desk, now = self._distributor, self._clock.seconds()
        views = [queue_view(queue, desk.waiting(queue.id), desk.agents, now) for queue in desk.queues.values()]
        return answer_json(request, {"queues": views})
