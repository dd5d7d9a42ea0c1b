"""The segments of the journal's file, and how they are read.  All of it blocks: it is run in a thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Protocol, TypeAlias, TypeVar

from attrs import define
from twisted.logger import Logger

from easycall.stats.framing import Damage, Frame, Scan, scan, whole

__all__ = ["Cursor", "Events", "Folder", "Segment", "events", "newest_of", "recalled"]

log = Logger()
T = TypeVar("T")

CHUNK = 1 << 20
"""Bytes read back at once."""

RECALLED = 64 << 20
"""Bytes read at a start, when nothing says where to begin."""


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


@define
class Segment:
    """One file: its first sequence, and how many bytes of it are ours."""

    name: str
    first: int
    size: int
    carried: int = 0
    """Bytes of what this process carried into it."""
    whole: bool = False
    """Whether all that stood open was carried into it."""
    safe: bool = False
    """Whether that outlives the machine."""


@define
class Cursor:
    """Where reading back stands: ``offset`` in a segment is behind the event ``after``."""

    after: int = -1
    name: str = ""
    offset: int = 0


Events: TypeAlias = tuple[list[Frame], list[Damage], Cursor]


def newest_of(folder: Folder, segment: Segment) -> Scan:
    """What stands in the newest segment; what is behind its last frame was never whole, and is cut off."""
    found = scan(folder.read(segment.name, 0, segment.size), segment.first - 1)
    if found.end < segment.size:
        log.warn(
            "journal: {n} bytes at the end of {name} are no event and were cut off: the last write was broken off",
            n=segment.size - found.end,
            name=segment.name,
        )
        folder.cut(segment.name, found.end)
    return found


def recalled(
    folder: Folder, segments: Sequence[Segment], newest: Scan | None, read: Callable[[Frame], T | None]
) -> tuple[list[T], bool]:
    """What ``read`` says of each frame, but None, from the newest segment back to one into which all was carried.

    ``newest``: that one, if it was read.  Also whether there is such a segment.
    """
    said: list[T] = []
    size = 0
    for segment in reversed(segments):
        size += segment.size
        if size > RECALLED and segment is not segments[-1]:
            break
        try:
            found = newest or scan(folder.read(segment.name, 0, segment.size), segment.first - 1)
        except OSError as why:
            log.error("journal: {name} cannot be read: {why}", name=segment.name, why=str(why))
            break
        newest, carried = None, whole(found.carried)
        frames = chain(found.carried if carried is None else carried, found.frames)
        said += [one for one in map(read, frames) if one is not None]
        if carried is not None:
            return said, True
    return said, False


def events(folder: Folder, cursor: Cursor, length: int, after: int, limit: int) -> Events:
    """The events of a segment of that length behind ``after``, what is damaged, and where reading stands then."""
    frames: list[Frame] = []
    damages: list[Damage] = []
    at, last, size = cursor.offset, cursor.after, CHUNK
    while len(frames) < limit and at < length:
        data = folder.read(cursor.name, at, min(size, length - at))
        found = scan(data, last, after, limit - len(frames))
        if not found.end:
            if at + len(data) >= length or not data:
                break  # no frame in all the rest
            size *= 4
            continue
        frames += found.frames
        damages += [Damage(at + one.start, at + one.end, one.before, one.after) for one in found.damages]
        at, last, size = at + found.end, found.last, CHUNK
    return frames, damages, Cursor(last, cursor.name, at)
