"""Whether the daemon is well, and its figures, for whoever watches it."""

from __future__ import annotations

from http import HTTPStatus

from twisted.internet.interfaces import IReactorTime

from easycall.api.auth import allow
from easycall.api.conduct import Health
from easycall.api.exchange import answer, answer_json
from easycall.api.routes import route
from easycall.api.site import BoundedRequest
from easycall.config import Right

__all__ = ["HealthRoutes"]


class HealthRoutes:
    """What ``/healthz``, ``/readyz`` and ``/metrics`` answer."""

    def __init__(self, health: Health, clock: IReactorTime) -> None:
        self._health = health
        self._clock = clock

    @route("GET", "/healthz")
    def healthz(self, request: BoundedRequest) -> bytes:
        """The process answers, and by how much the reactor is late."""
        lag = self._health.lag
        seconds = {"last": round(lag.last, 6), "largest_of_a_minute": round(lag.largest, 6)}
        return answer_json(request, {"alive": True, "reactor_lag_seconds": seconds})

    @route("GET", "/readyz")
    def readyz(self, request: BoundedRequest) -> bytes:
        """All is well; 503 with the reasons while it is not."""
        reasons = self._health.vitals.reasons(self._clock.seconds())
        if reasons:
            request.setResponseCode(HTTPStatus.SERVICE_UNAVAILABLE)
        return answer_json(request, {"ready": not reasons, "reasons": reasons})

    @route("GET", "/metrics")
    def metrics(self, request: BoundedRequest) -> bytes:
        """The figures for Prometheus."""
        allow(request, Right.READ)
        body, content_type = self._health.figures.exposition(request.getHeader("Accept") or "")
        return answer(request, body, content_type)
