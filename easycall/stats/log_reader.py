"""How the journal's file is read back, by sequence, for the database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from easycall.defer import limited
from easycall.stats.framing import Frame
from easycall.stats.kept_segments import KeptSegments
from easycall.stats.segments import Cursor, Events, Folder, Segment, events

__all__ = ["DISK_SECONDS", "LogReader"]

log = Logger()

DISK_SECONDS = 10.0
"""How long the disk may take for one answer."""


class LogReader:
    """Reads segments in a thread, one question at a time."""

    def __init__(
        self, folder: Folder, segments: KeptSegments, clock: IReactorTime, in_thread: Callable[..., Deferred[Any]]
    ) -> None:
        self._folder = folder
        self._segments = segments
        self._clock = clock
        self._in_thread = in_thread
        self._cursor = Cursor()
        self._reading = False
        self.unreadable = 0
        """Events that stood in the file and cannot be read."""

    async def read(self, after: int, limit: int) -> list[Frame]:
        """The next events in the file, at most ``limit``; what cannot be read is passed over, counted and named.

        Raises TimeoutError while the disk does not answer.
        """
        while self._segments:
            segment, following = self._segments.around(after)
            written = self._segments.written  # what is written while it is read is not lost
            frames = await self._read_segment(segment, after, limit)
            if frames:
                return frames
            upto = following.first - 1 if following else written
            self._lost(segment.name, after, upto + 1)
            if following is None:
                return []
            after = max(after, upto)
        return []

    async def _read_segment(self, segment: Segment, after: int, limit: int) -> list[Frame]:
        cursor = self._cursor
        if (cursor.after, cursor.name) != (after, segment.name):
            cursor = Cursor(segment.first - 1, segment.name, 0)
        try:
            read: Events = await self._once(events, self._folder, cursor, segment.size, after, limit)
        except TimeoutError:
            raise
        except OSError as why:
            log.error("journal: {name} cannot be read: {why}", name=segment.name, why=str(why))
            return []
        frames, damages, self._cursor = read
        for damage in damages:
            place = f"bytes {damage.start} to {damage.end} of {segment.name} are damaged"
            self._lost(place, max(damage.before, after), damage.after)
        return frames

    async def _once(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Run it in a thread, unless the one before still hangs there: a dead disk must not take all threads."""
        if self._reading:
            raise TimeoutError("the disk does not answer")
        self._reading = True
        return await limited(self._in_thread(self._reading_done, work, *arguments), DISK_SECONDS, self._clock)

    def _reading_done(self, work: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return work(*arguments)
        finally:
            self._reading = False

    def _lost(self, place: str, before: int, after: int) -> None:
        """Nothing can be read of the events between two."""
        if after - before > 1:
            self.unreadable += after - before - 1
            words = "journal: {place}: {n} events between {before} and {after} cannot be read"
            log.error(words, place=place, n=after - before - 1, before=before, after=after)
