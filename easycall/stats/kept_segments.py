"""The segments of the journal's file that are kept, and when an old one goes: nobody needs it, or its room is needed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from twisted.logger import Logger

from easycall.stats.segments import Segment

__all__ = ["KeptSegments"]

log = Logger()


class KeptSegments:
    """The oldest first; iterable."""

    def __init__(self, max_bytes: int, remove: Callable[[str], None]) -> None:
        """``max_bytes``: of all together.  ``remove`` deletes the file of one."""
        self._max_bytes = max_bytes
        self._remove = remove
        self._segments: deque[Segment] = deque()
        self._unneeded = 0
        """Nobody reads events up to there."""
        self.size = 0
        """How long all are together."""
        self.written = 0
        """The sequence of the latest event in them."""
        self.projected = 0
        """Up to here the database has everything; told by the journal."""
        self.dropped = 0
        """Events that were thrown away before the database had them, for the file was full."""

    def __iter__(self) -> Iterator[Segment]:
        return iter(self._segments)

    def __len__(self) -> int:
        return len(self._segments)

    @property
    def newest(self) -> Segment:
        """The one that is written to.  There must be one."""
        return self._segments[-1]

    def add(self, segment: Segment) -> None:
        """One more, the newest."""
        self._segments.append(segment)
        self.size += segment.size

    def resize(self, segment: Segment, size: int) -> None:
        """So long it is now."""
        self.size += size - segment.size
        segment.size = size

    def around(self, after: int) -> tuple[Segment, Segment | None]:
        """The segment in which the event behind ``after`` stands, or should, and the one that follows it."""
        found, following = self._segments[0], None
        for segment in self._segments:
            if segment is not found and segment.first > after + 1:
                following = segment
                break
            found = segment
        return found, following

    def make_room(self) -> None:
        """Remove the oldest while all are longer than they may be, whether the database has their events or not."""
        while self.size > self._max_bytes and len(self._segments) > 1:
            oldest, following = self._segments[0], self._segments[1]
            lost = max(0, following.first - 1 - max(self.projected, oldest.first - 1))
            self._drop_oldest()
            if lost:
                self.projected = following.first - 1
                self.dropped += lost
                words = "the journal's file is full: {n} events were thrown away before the database had them, {all} so far"
                log.error(words, n=lost, all=self.dropped)

    def _drop_oldest(self) -> None:
        oldest = self._segments.popleft()
        self.size -= oldest.size
        self._remove(oldest.name)

    def forget(self, up_to: int) -> None:
        """Nobody reads the events up to there any more: remove the segments that have no others.

        What stands open is in a newer one, or they stay.
        """
        self._unneeded = max(self._unneeded, up_to)
        self.drop_unneeded()

    def drop_unneeded(self) -> None:
        """The same, after what stands open has become safe in another segment."""
        begins = next((segment.first for segment in reversed(self._segments) if segment.safe), 0)
        while len(self._segments) > 1 and self._segments[1].first <= min(self._unneeded + 1, begins):
            self._drop_oldest()
