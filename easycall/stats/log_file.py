"""The journal's file: events are appended to it in the turn in which they happen, and read back by sequence.

It is a folder of segments, each named by the sequence of its first event.  Writing takes one small ``write`` a turn on the
reactor, which outlives a SIGKILL of the process; what outlives the machine is synced in a thread.  A disk that cannot be
written is kept away from the calls: frames wait in memory, bounded, and are written when it is back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from easycall.defer import limited, unattended
from easycall.stats.framing import Damage, Frame, frame, scan

__all__ = ["CrashPoint", "Folder", "LogFile"]

log = Logger()

SEGMENT = 8 << 20
"""Bytes of one segment; one turn's events may go beyond."""

CHUNK = 1 << 20
"""Bytes read back at once."""

PENDING = 16 << 20
"""Bytes that may wait in memory for a disk that cannot be written."""

SYNC_EVERY = 0.2
"""Seconds between two syncs."""

RETRY_EVERY = 1.0
"""Seconds between two tries while the disk cannot be written."""

COMPLAIN_EVERY = 60.0
"""Seconds between two log lines about it."""

DISK_SECONDS = 10.0
"""How long the disk may take for one answer."""


class Folder(Protocol):
    """Files in a folder.  Every method blocks for as long as the disk takes, and raises OSError."""

    def open(self) -> dict[str, int]:
        """Take the folder for us alone, make it when it is not there; the files in it, and how long each is."""

    def append(self, name: str, data: bytes) -> int:
        """Append to a file, which is made when it is not there; how many bytes were written."""

    def read(self, name: str, offset: int, size: int) -> bytes:
        """Up to so many bytes from there on."""

    def cut(self, name: str, size: int) -> None:
        """Throw away what stands behind the first ``size`` bytes."""

    def sync(self, name: str) -> None:
        """What was written outlives the machine."""

    def remove(self, name: str) -> None:
        """Delete a file; one that is not there is no fault."""

    def close(self) -> None:
        """Give the folder up."""


class CrashPoint:
    """Where a test wants the process to die: at its n-th write, before it (``"7-"``) or after it (``"7+"``)."""

    def __init__(self, text: str, die: Callable[[], None]) -> None:
        """Raises ValueError for any other text.  ``die`` kills the process."""
        number, moment = text[:-1], text[-1:]
        if not number.isdecimal() or int(number) < 1 or moment not in ("-", "+"):
            raise ValueError(f"{text!r}: must be the number of a write and - (before it) or + (after it), such as 7+")
        self._left = int(number)
        self._after = moment == "+"
        self._die = die

    def before(self) -> None:
        """A write follows."""
        self._left -= 1
        if self._left == 0 and not self._after:
            self._die()

    def after(self) -> None:
        """The write is done."""
        if self._left == 0 and self._after:
            self._die()


@define
class _Segment:
    """One file: its first sequence, and how many bytes of it are ours."""

    name: str
    first: int
    size: int


@define
class _Cursor:
    """Where reading back stands: ``offset`` in a segment is behind the event ``after``."""

    after: int = -1
    name: str = ""
    offset: int = 0


_Read: TypeAlias = tuple[list[Frame], list[Damage], _Cursor]


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
        self._segments: deque[_Segment] = deque()
        self._total = 0
        self._pending: deque[tuple[int, bytes]] = deque()
        self._pending_bytes = 0
        self._cursor = _Cursor()
        self._unsynced: set[str] = set()
        self._syncing: float | None = None
        """Since when a sync is under way."""
        self._reading = False
        self._timer: IDelayedCall | None = None
        self._retry_at = 0.0
        self._complained = -COMPLAIN_EVERY
        self._fresh = True
        self.written = 0
        """The sequence of the latest event in the file."""
        self.projected = 0
        """Up to here the database has everything; told by the journal."""
        self.trouble = ""
        """Why the disk does not take what happens, in words; empty: it does."""
        self.dropped = 0
        """Events that were thrown away before the database had them, for the file was full."""
        self.unreadable = 0
        """Events that stood in the file and cannot be read."""
        self.gaps = 0
        """Events that never got into the file, for the disk was away too long; the database may have them."""

    @property
    def size(self) -> int:
        """How long all segments are together."""
        return self._total

    async def open(self) -> None:
        """Find the segments, and cut off what a crash left half-written.  Raises OSError."""
        files = await self._done(self._folder.open)
        for name in sorted(files):
            first = name.removesuffix(".log")
            if first.isdecimal() and name.endswith(".log"):
                self._segments.append(_Segment(name, int(first), files[name]))
                self._total += files[name]
        if self._segments:
            newest = self._segments[-1]
            self.written, end = await self._done(self._last, newest)
            self._total -= newest.size - end
            newest.size = end
            self._fresh = False

    def _last(self, segment: _Segment) -> tuple[int, int]:
        """In a thread: the last event of the last segment, and where it ends; what is behind it was never whole."""
        found = scan(self._folder.read(segment.name, 0, segment.size), segment.first - 1)
        if found.end < segment.size:
            log.warn(
                "journal: {n} bytes at the end of {name} are no event and were cut off: the last write was broken off",
                n=segment.size - found.end,
                name=segment.name,
            )
            self._folder.cut(segment.name, found.end)
        return found.last, found.end

    async def close(self) -> None:
        """Write and sync what waits, and give the folder up."""
        self._retry_at = 0.0
        self.write()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        try:
            for name in sorted(self._unsynced):
                await self._done(self._folder.sync, name)
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

    def write(self) -> None:
        """Write what was added.  Never fails: see :attr:`trouble`."""
        if not self._pending or self._clock.seconds() < self._retry_at:
            return
        if self._crash is not None:
            self._crash.before()
        try:
            self._append(b"".join(data for _, data in self._pending))
        except OSError as why:
            self._retry_at = self._clock.seconds() + RETRY_EVERY
            self._failed(why)
            return
        if self._crash is not None:
            self._crash.after()
        self.written = self._pending[-1][0]
        self._pending.clear()
        self._pending_bytes = 0
        self._make_room()
        self._wake(SYNC_EVERY)

    def _append(self, data: bytes) -> None:
        segment = self._segment()
        done = 0
        try:
            while done < len(data):
                done += self._folder.append(segment.name, data[done:] if done else data)
        except OSError:
            if done:
                self._undo(segment)
            raise
        segment.size += done
        self._total += done
        self._unsynced.add(segment.name)

    def _undo(self, segment: _Segment) -> None:
        """Half a turn was written."""
        try:
            self._folder.cut(segment.name, segment.size)
        except OSError:  # it stays, and is passed over when it is read: the next turn goes into another segment
            self._fresh = True

    def _segment(self) -> _Segment:
        """The segment to write to."""
        first = self._pending[0][0]
        if self._fresh or not self._segments or self._segments[-1].size >= self._segment_bytes:
            name = f"{first:020}.log"
            if not self._segments or self._segments[-1].name != name:
                self._segments.append(_Segment(name, first, 0))
            self._fresh = False
        return self._segments[-1]

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
        try:
            for name in sorted(names):
                await self._in_thread(self._folder.sync, name)
        except OSError as why:
            self._fresh = True  # what a failed sync leaves of a file nobody can tell
            self._unsynced |= names & {segment.name for segment in self._segments}
            self._failed(why)
        else:
            if self.trouble and not self._pending:
                log.info("the journal's file is written again; {n} events so far are not in it", n=self.gaps)
                self.trouble = ""
        finally:
            self._syncing = None

    def _done(self, work: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        return Deferred.fromCoroutine(limited(self._in_thread(work, *arguments), DISK_SECONDS, self._clock))

    def _make_room(self) -> None:
        while self._total > self._max_bytes and len(self._segments) > 1:
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
        self._total -= oldest.size
        self._unsynced.discard(oldest.name)
        unattended(self._remove(oldest.name))

    async def _remove(self, name: str) -> None:
        try:
            await self._done(self._folder.remove, name)
        except OSError as why:
            log.warn("journal: {name} could not be removed: {why}", name=name, why=str(why))

    def forget(self, up_to: int) -> None:
        """Nobody needs the events up to there: remove the segments that have no others."""
        while len(self._segments) > 1 and self._segments[1].first <= up_to + 1:
            self._drop_oldest()

    @property
    def removable_from(self) -> int:
        """Once nobody needs the events up to there something can be removed."""
        return self._segments[1].first - 1 if len(self._segments) > 1 else 1 << 62

    # Out

    async def read(self, after: int, limit: int) -> list[Frame]:
        """The next events in the file, at most ``limit``; what cannot be read is passed over, counted and named.

        Raises TimeoutError while the disk does not answer.
        """
        while self._segments:
            segment, following = self._where(after)
            frames = await self._read_segment(segment, after, limit)
            if frames:
                return frames
            upto = following.first - 1 if following else self.written
            self._lost(segment.name, after, upto + 1)
            if following is None:
                return []
            after = max(after, upto)
        return []

    def _where(self, after: int) -> tuple[_Segment, _Segment | None]:
        """The segment in which the event behind ``after`` stands, or should, and the one that follows it."""
        found, following = self._segments[0], None
        for segment in self._segments:
            if segment is not found and segment.first > after + 1:
                following = segment
                break
            found = segment
        return found, following

    async def _read_segment(self, segment: _Segment, after: int, limit: int) -> list[Frame]:
        cursor = self._cursor
        if (cursor.after, cursor.name) != (after, segment.name):
            cursor = _Cursor(segment.first - 1, segment.name, 0)
        try:
            read: _Read = await self._once(self._read, cursor, segment.size, after, limit)
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

    def _read(self, cursor: _Cursor, length: int, after: int, limit: int) -> _Read:
        """In a thread: the events of a segment that are behind ``after``, what is damaged, and where it stands then."""
        frames: list[Frame] = []
        damages: list[Damage] = []
        at, last, size = cursor.offset, cursor.after, CHUNK
        while len(frames) < limit and at < length:
            data = self._folder.read(cursor.name, at, min(size, length - at))
            found = scan(data, last, after, limit - len(frames))
            if not found.end:
                if at + len(data) >= length or not data:
                    break  # no frame in all the rest
                size *= 4
                continue
            frames += found.frames
            damages += [Damage(at + one.start, at + one.end, one.before, one.after) for one in found.damages]
            at, last, size = at + found.end, found.last, CHUNK
        return frames, damages, _Cursor(last, cursor.name, at)

    def _lost(self, place: str, before: int, after: int) -> None:
        """Nothing can be read of the events between two."""
        if after - before > 1:
            self.unreadable += after - before - 1
            words = "journal: {place}: {n} events between {before} and {after} cannot be read"
            log.error(words, place=place, n=after - before - 1, before=before, after=after)
