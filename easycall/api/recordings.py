"""The routes of recordings: which there are, and their sound, streamed with ranges."""
# mypy: allow-untyped-calls
# (what is inherited from twisted.web has no annotations)

from __future__ import annotations

import re
from collections import OrderedDict
from datetime import UTC, date, datetime, time, timedelta
from http import HTTPStatus

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web.resource import Resource

from easycall.api.auth import Right, allow, took_part
from easycall.api.conduct import Journal, RecordingFiles
from easycall.api.exchange import answer_json, limit_of, read_query
from easycall.api.media import Sound
from easycall.api.problems import Problem, unknown
from easycall.api.routes import route
from easycall.api.schemas import recording_view
from easycall.api.site import BoundedRequest
from easycall.events import RecordingHeard
from easycall.stats.recordings import Recording

__all__ = ["RecordingRoutes"]

log = Logger()

HEARD_SECONDS = 600.0
"""A player that jumps to and fro in a recording listens to it once in so long."""
HEARD = 1_000
"""Listeners of a recording that are kept in mind for that."""


class RecordingRoutes:
    """What the routes below ``/api/v1/recordings`` answer."""

    def __init__(self, journal: Journal, files: RecordingFiles, clock: IReactorTime) -> None:
        self._journal = journal
        self._files = files
        self._clock = clock
        self._heard: OrderedDict[tuple[str, str], float] = OrderedDict()

    @route("GET", "/api/v1/recordings")
    async def page(self, request: BoundedRequest) -> bytes:
        """The recordings of one contact, or a page of all, or of one day's, the latest first."""
        allow(request, Right.RECORDINGS)
        asked = read_query(request, "contact", "day", "limit", "before")
        if "contact" in asked:
            if len(asked) > 1:
                raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "contact stands alone", field="contact")
            found = await self._journal.record_of(asked["contact"])
            if found is None or not took_part(request, found[0]):
                raise unknown("contact", asked["contact"])
            shown = [recording_view(asked["contact"], one) for one in found[0].recordings]
            return answer_json(request, {"recordings": shown, "next": None})
        if request.token.agent:
            raise Problem(HTTPStatus.FORBIDDEN, "a token of an agent asks for the recordings of one contact: ?contact=ID")
        size, (first, end) = limit_of(asked if asked.get("limit") else {}), _span(asked.get("day"))
        page = await self._journal.recordings(size, asked.get("before", ""), first, end)
        following = page[-1][1].id if len(page) == size else None
        return answer_json(request, {"recordings": [recording_view(*one) for one in page], "next": following})

    @route("GET", "/api/v1/recordings/<recording_id>")
    async def one(self, request: BoundedRequest, recording_id: str) -> bytes:
        """One recording."""
        allow(request, Right.RECORDINGS)
        return answer_json(request, recording_view(*await self._find(request, recording_id)))

    @route("GET", "/api/v1/recordings/<recording_id>/audio")
    async def audio(self, request: BoundedRequest, recording_id: str) -> Resource:
        """Its sound, with ranges.  That it was fetched is journalled."""
        allow(request, Right.RECORDINGS)
        contact, recording = await self._find(request, recording_id)
        if recording.ended is None:
            raise Problem(HTTPStatus.CONFLICT, "it is still being recorded")
        try:
            file = await self._files.open(recording.file)
        except FileNotFoundError:
            log.error("recording {recording}: {file} is not there", recording=recording.id, file=recording.file)
            raise Problem(HTTPStatus.NOT_FOUND, "there is no file of this recording") from None
        except OSError as error:
            log.error(
                "recording {recording}: {file} cannot be read: {why}",
                recording=recording.id,
                file=recording.file,
                why=error.strerror,
            )
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "the file cannot be read; easycall's log says why") from None
        if request.method != b"HEAD":
            self._note(request.token.name, contact, recording.id)
        return Sound(file, recording.id)

    async def _find(self, request: BoundedRequest, recording_id: str) -> tuple[str, Recording]:
        found = await self._journal.recording(recording_id)
        if found is not None and request.token.agent:
            record = await self._journal.record_of(found[0])
            if record is None or not took_part(request, record[0]):
                found = None
        if found is None:
            raise unknown("recording", recording_id)
        return found

    def _note(self, by: str, contact: str, recording: str) -> None:
        now = self._clock.seconds()
        if now < self._heard.get((by, recording), -HEARD_SECONDS) + HEARD_SECONDS:
            return
        self._heard[by, recording] = now
        self._heard.move_to_end((by, recording))
        while len(self._heard) > HEARD:
            self._heard.popitem(last=False)
        self._journal.record(RecordingHeard(at=now, contact=contact, recording=recording, by=by))


def _span(day: str | None) -> tuple[float, float]:
    """When that day begins and ends, in UTC; without one, all time."""
    if day is None:
        return 0.0, 1e12
    try:
        if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", day):
            raise ValueError
        midnight = datetime.combine(date.fromisoformat(day), time(), UTC)
        return midnight.timestamp(), (midnight + timedelta(days=1)).timestamp()
    except (ValueError, OverflowError):
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "day is a day as 2026-12-31, in UTC", field="day") from None
