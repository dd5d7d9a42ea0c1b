"""The journal's file, byte by byte: how an event is written, and how what was written is found again.  Pure.

A frame is a header and the event's body as JSON.  The header begins with four bytes that JSON never has, so that behind a
damaged place the next frame is found; the checksum covers everything behind it.

A frame may be **carried**: it stands in an older place of the file too, and is repeated so that nobody need read that.  Who
reads what happened passes it over.  A complete set of carried frames stands between two marks of their own.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple
from zlib import crc32

from attrs import field, frozen

__all__ = ["LONGEST", "MARK", "VERSION", "Damage", "Frame", "Scan", "bracketed", "frame", "scan", "whole"]

MARK = b"\xffECJ"
CARRIED = b"\xffECK"
_EITHER = MARK[:-1]
VERSION = 1
"""Of the frames written; older ones stay readable."""

LONGEST = 16 << 20
"""Bytes of a body; a length above it is a damaged one."""

_HEADER = struct.Struct(">4sIBBIQd")  # mark, checksum, version, length of the kind, length of the body, sequence, time
_COVERED = 8
"""The checksum is of everything from here."""
_HEAD = struct.Struct(">BBIQd")
"""What of the header that is."""

_SEEDS = {MARK: 0, CARRIED: crc32(CARRIED)}
"""How the checksum begins: a frame is not taken for one of the other kind when its mark is damaged."""

_BRACKET = 0
"""The sequence, which no event has, of the frames around a set of carried ones; the second says how many they are."""


class Frame(NamedTuple):
    """One event as it stands in the file."""

    seq: int
    at: float
    """Seconds since the epoch."""
    kind: str
    body: str
    version: int = VERSION
    carried: bool = False


@frozen
class Damage:
    """Bytes from ``start`` up to ``end`` that are no frame; ``before`` and ``after`` are the sequences around them."""

    start: int
    end: int
    before: int
    after: int


@frozen
class Scan:
    """What was found in some bytes."""

    frames: list[Frame]
    damages: list[Damage]
    end: int
    """Up to here everything is understood; behind it is the beginning of a frame, or damage up to the end."""
    last: int
    """The sequence of the last frame before ``end``."""
    carried: list[Frame] = field(factory=list)
    """Those among them, and their brackets."""


def frame(one: Frame) -> bytes:
    """The bytes of an event.  Raises ValueError when it is too long for the file."""
    kind, body = one.kind.encode(), one.body.encode()
    if len(body) > LONGEST:
        raise ValueError(f"event {one.seq} of kind {one.kind} has {len(body)} bytes, at most {LONGEST} can be written")
    mark = CARRIED if one.carried else MARK
    covered = b"".join((_HEAD.pack(one.version, len(kind), len(body), one.seq, one.at), kind, body))
    return b"".join((mark, crc32(covered, _SEEDS[mark]).to_bytes(4, "big"), covered))


def bracketed(frames: Iterable[Frame]) -> Iterator[Frame]:
    """These as a complete set of carried frames."""
    yield Frame(_BRACKET, 0.0, "", "", carried=True)
    count = 0
    for one in frames:
        yield one._replace(carried=True)
        count += 1
    yield Frame(_BRACKET, 0.0, "", str(count), carried=True)


def whole(carried: Sequence[Frame]) -> list[Frame] | None:
    """The last complete set among carried frames; None when there is none."""
    ends = [place for place, one in enumerate(carried) if one.seq == _BRACKET]
    for first, last in zip(reversed(ends[:-1]), reversed(ends), strict=False):
        if not carried[first].body and carried[last].body == str(last - first - 1):
            return list(carried[first + 1 : last])
    return None


def scan(data: bytes, last: int, after: int = 0, limit: int | None = None) -> Scan:
    """Read the frames behind the sequence ``after``, at most ``limit``.

    ``last`` is the sequence of the frame before the first byte.  A damaged place is passed over to the next good frame,
    wherever that is.
    """
    frames: list[Frame] = []
    damages: list[Damage] = []
    carried: list[Frame] = []
    position = 0
    for start, end, found in _found(data):
        if limit is not None and len(frames) >= limit:
            break
        if found.carried:
            carried.append(found)
            if start == position:  # else what is damaged before it is told with the next event
                position = end
            continue
        if start > position:
            damages.append(Damage(position, start, last, found.seq))
        if found.seq > after:
            frames.append(found)
        position, last = end, found.seq
    return Scan(frames, damages, position, last, carried)


def _found(data: bytes) -> Iterator[tuple[int, int, Frame]]:
    """Every good frame: where it begins and ends, and what it says."""
    at = 0
    while (at := data.find(_EITHER, at)) >= 0:
        end, found = _frame_at(data, at)
        if found is None:
            at += 1
        else:
            yield at, end, found
            at = end


def _frame_at(data: bytes, at: int) -> tuple[int, Frame | None]:
    """The frame that begins there, and where it ends; None when there is none, or not all of it."""
    body_at = at + _HEADER.size
    if body_at > len(data):
        return at, None
    mark, checksum, version, kind_length, body_length, seq, moment = _HEADER.unpack_from(data, at)
    end = body_at + kind_length + body_length
    if mark not in _SEEDS or body_length > LONGEST or end > len(data):
        return at, None
    if crc32(memoryview(data)[at + _COVERED : end], _SEEDS[mark]) != checksum:
        return at, None
    try:
        kind = data[body_at : body_at + kind_length].decode()
        return end, Frame(seq, moment, kind, data[body_at + kind_length : end].decode(), version, mark == CARRIED)
    except UnicodeDecodeError:  # it is whole, but nobody of ours wrote it
        return at, None
