"""The route of reports: lost contacts and callbacks, by queue and day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from http import HTTPStatus
from typing import Any

from twisted.internet.interfaces import IReactorTime

from easycall.api.auth import Right, allow
from easycall.api.conduct import Distributor, History, Recovery
from easycall.api.exchange import answer_json, read_query
from easycall.api.problems import Problem, unknown
from easycall.api.routes import route
from easycall.api.schemas import rounded, standing_view
from easycall.api.site import BoundedRequest
from easycall.stats.attempts import AttemptsDay
from easycall.stats.days import KEPT_DAYS
from easycall.stats.losses import Fate, Loss, LostDay
from easycall.stats.recovery import RecoveryDay, Standing

__all__ = ["ReportRoutes"]


class ReportRoutes:
    """What the routes below ``/api/v1/reports`` answer."""

    def __init__(self, distributor: Distributor, recovery: Recovery, history: History, clock: IReactorTime) -> None:
        self._distributor = distributor
        self._recovery = recovery
        self._history = history
        self._clock = clock

    @route("GET", "/api/v1/reports/callbacks")
    def callbacks(self, request: BoundedRequest) -> bytes:
        """Who was lost and recovered, and what was done for it, on each of the last days; ``?queue=ID&days=7``."""
        allow(request, Right.READ)
        asked = read_query(request, "queue", "days")
        queue, days = asked.get("queue", ""), asked.get("days", str(KEPT_DAYS))
        if queue and queue not in self._distributor.queues:
            raise unknown("queue", queue)
        if not (days.isascii() and days.isdigit() and 1 <= int(days) <= KEPT_DAYS):
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"days is a number from 1 to {KEPT_DAYS}", field="days")
        queues = [queue] if queue else list(self._distributor.queues)
        now, standing = self._clock.seconds(), self._recovery.open()
        answer = {
            "queues": {
                one: standing_view(standing.get(one) or Standing())
                | {"abandonment_ratio_30_days": rounded(self._recovery.abandonment(one, now), 4)}
                for one in queues
            },
            "days": [view for one in queues for view in self._days(one, int(days), now)],
            "incomplete": dict(self._history.missing),
        }
        return answer_json(request, answer)

    def _days(self, queue: str, days: int, now: float) -> Iterator[dict[str, Any]]:
        """The latest of them on which there was something."""
        first = self._recovery.first_day(queue, days, now)
        for day, counts in self._recovery.of_queue(queue, now).items():
            if day >= first:
                yield day_view(queue, day, counts)


def day_view(queue: str, day: date, counts: RecoveryDay) -> dict[str, Any]:
    """One day of a queue."""
    return {
        "queue": queue,
        "day": day.isoformat(),
        "lost": _lost_view(counts.lost),
        "callbacks": {
            source.value: {"asked": number}
            | {state.value: n for (of, state), n in sorted(counts.attempts.ended.items()) if of is source}
            for source, number in sorted(counts.attempts.asked.items())
        },
        "attempts": _attempts_view(counts.attempts),
    }


def _lost_view(lost: LostDay) -> dict[str, Any]:
    return {
        **_share_out(lost),
        "again": lost.again,
        "recovered_ratio": rounded(lost.share, 4),
        "mean_seconds": rounded(lost.mean_seconds, 1),
        "by_loss": {loss.value: _share_out(lost, loss) for loss in Loss if lost.lost(loss)},
    }


def _share_out(lost: LostDay, *losses: Loss) -> dict[str, int]:
    """How many were lost, and what became of them."""
    counts = {"lost": lost.lost(*losses), "recovered": lost.recovered(*losses), "given_up": lost.given_up(*losses)}
    return counts | {fate.value: lost.of(fate, *losses) for fate in Fate}


def _attempts_view(attempts: AttemptsDay) -> dict[str, Any]:
    return {
        "attempts": attempts.attempts,
        "outcomes": {outcome.value: number for outcome, number in sorted(attempts.outcomes.items())},
        "reached_ratio": rounded(attempts.reached, 4),
        "answered": attempts.answered,
        "unserved": attempts.unserved,
        "kept_waiting": attempts.kept_waiting,
        "abandonment_ratio": rounded(attempts.abandonment, 4),
        "late": attempts.late,
    }
