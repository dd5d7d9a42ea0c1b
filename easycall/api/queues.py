"""The route of queues: who waits in each, and who serves it."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from easycall.api.auth import Right, allow
from easycall.api.conduct import Distributor, History, Recovery, ServiceLevels, Staff, Waits
from easycall.api.exchange import answer_json
from easycall.api.routes import route
from easycall.api.schemas import level_view, queue_view, standing_view, wait_view
from easycall.api.site import BoundedRequest
from easycall.stats.recovery import Standing

__all__ = ["QueueRoutes"]


class QueueRoutes:
    """What ``/api/v1/queues`` answers."""

    def __init__(
        self,
        staff: Staff,
        distributor: Distributor,
        waits: Waits,
        levels: ServiceLevels,
        recovery: Recovery,
        history: History,
        clock: IReactorTime,
    ) -> None:
        self._staff = staff
        self._distributor = distributor
        self._waits = waits
        self._levels = levels
        self._recovery = recovery
        self._history = history
        self._clock = clock

    @route("GET", "/api/v1/queues")
    def queues(self, request: BoundedRequest) -> bytes:
        """Every queue with its line, its agents, its expected wait and its figures of today."""
        allow(request, Right.READ)
        agents, now = self._staff.agents, self._clock.seconds()
        room, standing = self._distributor, self._recovery.open()
        views = [
            queue_view(queue, room.waiting(queue.id), agents, now)
            | {
                "expected_wait": wait_view(self._waits.of_queue(queue.id)),
                "service_level": level_view(self._levels.of_queue(queue.id, now)),
                "callbacks": standing_view(standing.get(queue.id) or Standing()),
            }
            for queue in room.queues.values()
        ]
        return answer_json(request, {"queues": views, "incomplete": dict(self._history.missing)})
