"""The journal's file: events are appended to it in the turn in which they happen, and read back by sequence.

It is a folder of segments, each named by the sequence of its first event.  Writing takes one small ``write`` a turn on the
reactor, which outlives a SIGKILL of the process; what outlives the machine is synced in a thread.  A disk that cannot be
written is kept away from the calls: frames wait in memory, bounded, and are written when it is back.

Into each new segment what stands open is carried (:attr:`LogFile.carry`), so that a start reads the newest segment into
which all was carried, and what was written since; the older ones are only there for the database.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from easycall.defer import limited, unattended
from easycall.stats.carrying import Carrying
from easycall.stats.crash_point import CrashPoint
from easycall.stats.framing import Frame, Scan, frame, whole
from easycall.stats.kept_segments import KeptSegments
from easycall.stats.log_reader import DISK_SECONDS, LogReader
from easycall.stats.segments import Folder, Segment, newest_of, recalled

__all__ = ["LogFile"]

log = Logger()
T = TypeVar("T")

SEGMENT = 8 << 20
"""Bytes of one segment; one turn's events may go beyond, and what stands open may be more."""

PENDING = 16 << 20
"""Bytes that may wait in memory for a disk that cannot be written."""

SYNC_EVERY = 0.2
"""Seconds between two syncs."""

RETRY_EVERY = 1.0
"""Seconds between two tries while the disk cannot be written."""

COMPLAIN_EVERY = 60.0
"""Seconds between two log lines about it."""


class LogFile:
    """See the module.  ``await open()`` before anything else."""

    def __init__(
        self,
        folder: Folder,
        clock: IReactorTime,
        in_thread: Callable[..., Deferred[Any]],
        *,
        max_bytes: int = 1 << 30,
        segment_bytes: int = SEGMENT,
        crash: CrashPoint | None = None,
    ) -> None:
        """``in_thread(work, *arguments)`` runs what blocks; ``max_bytes``: of all segments."""
        self._folder = folder
        self._clock = clock
        self._in_thread = in_thread
        self._max_bytes = max_bytes
        self._segment_bytes = min(segment_bytes, max_bytes // 4)
        self._crash = crash
        self.carry: Callable[[], Iterable[Frame]] = tuple
        """What stands open now, in the frames that say it, in any order; called when a segment begins."""
        self._carrying: Carrying | None = None
        self._slicing: IDelayedCall | None = None
        self._newest: Scan | None = None
        """The newest segment as it was found, until it is recalled."""
        self._segments = KeptSegments(max_bytes, self._gone)
        self._reader = LogReader(folder, self._segments, clock, in_thread)
        self._pending: deque[tuple[int, bytes]] = deque()
        self._pending_bytes = 0
        self._unsynced: set[str] = set()
        self._syncing: float | None = None
        """Since when a sync is under way."""
        self._timer: IDelayedCall | None = None
        self._retry_at = 0.0
        self._complained = -COMPLAIN_EVERY
        self._fresh = True
        self.trouble = ""
        """Why the disk does not take what happens, in words; empty: it does."""
        self.gaps = 0
        """Events that never got into the file, for the disk was away too long; the database may have them."""

    @property
    def size(self) -> int:
        """How long all segments are together."""
        return self._segments.size

    @property
    def written(self) -> int:
        """The sequence of the latest event in the file."""
        return self._segments.written

    @property
    def projected(self) -> int:
        """Up to here the database has everything; told by the journal."""
        return self._segments.projected

    @projected.setter
    def projected(self, seq: int) -> None:
        self._segments.projected = seq

    @property
    def dropped(self) -> int:
        """Events that were thrown away before the database had them, for the file was full."""
        return self._segments.dropped

    @property
    def unreadable(self) -> int:
        """Events that stood in the file and cannot be read."""
        return self._reader.unreadable

    async def open(self) -> None:
        """Find the segments, and cut off what a crash left half-written.  Raises OSError."""
        files = await self.beside(self._folder.open)
        for name in sorted(files):
            first = name.removesuffix(".log")
            if first.isdecimal() and name.endswith(".log"):
                self._segments.add(Segment(name, int(first), files[name]))
        if self._segments:
            newest = self._segments.newest
            found: Scan = await self.beside(newest_of, self._folder, newest)
            self._segments.resize(newest, found.end)
            self._segments.written, self._newest = found.last, found
            newest.whole = whole(found.carried) is not None
            self._unsynced.add(newest.name)
            self._fresh = not newest.whole  # what stands open is carried into the next one, then

    async def recall(self, read: Callable[[Frame], T | None]) -> tuple[list[T], bool]:
        """What a process before left open: what ``read``, in a thread, says of each frame of it, but None.

        In no order, and some may come twice.  Also whether that is all: not of files of an older easycall, or where the file
        was away.  Once, after :meth:`open`.  Raises OSError.
        """
        found: tuple[list[T], bool] = await self.beside(recalled, self._folder, tuple(self._segments), self._newest, read)
        self._newest = None
        return found

    async def close(self) -> None:
        """Write and sync what waits, and give the folder up."""
        self._retry_at = 0.0
        self.write()
        for timer in (self._timer, self._slicing):
            if timer is not None and timer.active():
                timer.cancel()
        self._timer = self._slicing = None
        try:
            for name in sorted(self._unsynced):
                await self.beside(self._folder.sync, name)
        except OSError as why:
            log.error("journal: what was written last may not outlive the machine: {why}", why=str(why))
        self._folder.close()

    # In

    def add(self, one: Frame) -> None:
        """Let it be written by the next :meth:`write`.  Raises ValueError when it is too long."""
        data = frame(one)
        self._pending.append((one.seq, data))
        self._pending_bytes += len(data)
        while self._pending_bytes > PENDING:
            self._pending_bytes -= len(self._pending.popleft()[1])
            self.gaps += 1
            self._fresh = True  # what stands open has to be carried once more: a part of it will not be in the file

    def write(self) -> None:
        """Write what was added.  Never fails: see :attr:`trouble`."""
        if not (self._pending or self._carrying) or self._clock.seconds() < self._retry_at:
            return
        if self._crash is not None:
            self._crash.before()
        try:
            self._append()
        except OSError as why:
            self._fresh = self._fresh or self._carrying is not None  # it is carried once more, then
            self._retry_at = self._clock.seconds() + RETRY_EVERY
            self._failed(why)
            return
        if self._crash is not None:
            self._crash.after()
        if self._pending:
            self._segments.written = self._pending[-1][0]
            self._pending.clear()
            self._pending_bytes = 0
        self._segments.make_room()
        self._wake(SYNC_EVERY)

    def _append(self) -> None:
        segment = self._segment()
        carried = self._carrying.slice() if self._carrying is not None else b""
        data = b"".join((carried, *(data for _, data in self._pending)))
        done = 0
        try:
            while done < len(data):
                done += self._folder.append(segment.name, data[done:] if done else data)
        except OSError:
            if done:
                self._undo(segment)
            raise
        self._segments.resize(segment, segment.size + done)
        self._unsynced.add(segment.name)
        if self._carrying is not None:
            self._carried(segment, self._carrying)

    def _carried(self, segment: Segment, carrying: Carrying) -> None:
        """A slice more of what stands open is written."""
        segment.carried = carrying.size
        segment.whole = carrying.whole
        if carrying.whole or carrying.too_long:
            self._carrying = None
        elif self._slicing is None or not self._slicing.active():
            self._slicing = self._clock.callLater(0, self.write)
        if not carrying.whole and carrying.too_long:
            log.error("journal: what stands open is more than a fourth of what its file may have; a start will take longer")

    def _undo(self, segment: Segment) -> None:
        """Half a turn was written."""
        try:
            self._folder.cut(segment.name, segment.size)
        except OSError:  # it stays, and is passed over when it is read: the next turn goes into another segment
            self._fresh = True

    def _segment(self) -> Segment:
        """The segment to write to."""
        if self._pending and (self._fresh or not self._segments or self._full(self._segments.newest)):
            first = self._pending[0][0]
            name = f"{first:020}.log"
            if not self._segments or self._segments.newest.name != name:
                self._segments.add(Segment(name, first, 0))
            self._carrying = Carrying(iter(self.carry()), self._max_bytes // 4)
            self._fresh = False
        return self._segments.newest

    def _full(self, segment: Segment) -> bool:
        """What is carried does not count, or much of it would fill one segment after the other."""
        return self._carrying is None and segment.size - segment.carried >= max(self._segment_bytes, segment.carried)

    def _failed(self, why: Exception) -> None:
        now = self._clock.seconds()
        self.trouble = f"the journal's file cannot be written: {getattr(why, 'strerror', None) or why}"
        if now - self._complained >= COMPLAIN_EVERY:
            self._complained = now
            log.error("{trouble}; calls go on, {n} events wait for it", trouble=self.trouble, n=len(self._pending))
        self._wake(RETRY_EVERY)

    # The disk

    def _wake(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = self._clock.callLater(seconds, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.write()
        if self._syncing is None:
            unattended(self._sync())
        elif self._clock.seconds() - self._syncing > DISK_SECONDS:
            self._failed(TimeoutError("the disk does not answer"))
        if self._pending or self._unsynced or self._syncing is not None:
            self._wake(RETRY_EVERY if self.trouble else SYNC_EVERY)

    async def _sync(self) -> None:
        """One round of syncs.  Only one is under way: a disk that does not answer must not take all threads."""
        self._syncing = self._clock.seconds()
        names, self._unsynced = self._unsynced, set()
        carried = [segment for segment in self._segments if segment.whole]
        try:
            for name in sorted(names):
                await self._in_thread(self._folder.sync, name)
        except OSError as why:
            self._fresh = True  # what a failed sync leaves of a file nobody can tell
            self._unsynced |= names & {segment.name for segment in self._segments}
            self._failed(why)
        else:
            for segment in carried:
                segment.safe = True
            self._segments.drop_unneeded()
            if self.trouble and not self._pending:
                log.info("the journal's file is written again; {n} events so far are not in it", n=self.gaps)
                self.trouble = ""
        finally:
            self._syncing = None

    def beside(self, work: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """Run what takes a while in a thread, for as long as the disk may take."""
        return Deferred.fromCoroutine(limited(self._in_thread(work, *arguments), DISK_SECONDS, self._clock))

    def _gone(self, name: str) -> None:
        """A segment is not kept any more."""
        self._unsynced.discard(name)
        unattended(self._remove(name))

    async def _remove(self, name: str) -> None:
        try:
            await self.beside(self._folder.remove, name)
        except OSError as why:
            log.warn("journal: {name} could not be removed: {why}", name=name, why=str(why))

    def forget(self, up_to: int) -> None:
        """Nobody reads the events up to there any more; see :meth:`KeptSegments.forget`."""
        self._segments.forget(up_to)

    def begin_segment(self) -> None:
        """What comes next is written to another file, so that those before it can be removed."""
        self._fresh = True

    async def read(self, after: int, limit: int) -> list[Frame]:
        """The next events in the file, at most ``limit``; see :meth:`LogReader.read`."""
        return await self._reader.read(after, limit)
