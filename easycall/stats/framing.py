"""The journal's file, byte by byte: how an event is written, and how what was written is found again.  Pure.

A frame is a header and the event's body as JSON.  The header begins with four bytes that JSON never has, so that behind a
damaged place the next frame is found; the checksum covers everything behind it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from zlib import crc32

from attrs import frozen

__all__ = ["LONGEST", "MARK", "VERSION", "Damage", "Frame", "Scan", "frame", "scan"]

MARK = b"\xffECJ"
VERSION = 1
"""Of the frames written; older ones stay readable."""

LONGEST = 16 << 20
"""Bytes of a body; a length above it is a damaged one."""

_HEADER = struct.Struct(">4sIBBIQd")  # mark, checksum, version, length of the kind, length of the body, sequence, time
_COVERED = 8
"""The checksum is of everything from here."""


@frozen
class Frame:
    """One event as it stands in the file."""

    seq: int
    at: float
    """Seconds since the epoch."""
    kind: str
    body: str
    version: int = VERSION


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


def frame(one: Frame) -> bytes:
    """The bytes of an event.  Raises ValueError when it is too long for the file."""
    kind, body = one.kind.encode(), one.body.encode()
    if len(body) > LONGEST:
        raise ValueError(f"event {one.seq} of kind {one.kind} has {len(body)} bytes, at most {LONGEST} can be written")
    header = _HEADER.pack(MARK, 0, one.version, len(kind), len(body), one.seq, one.at)[_COVERED:]
    return b"".join((MARK, crc32(body, crc32(kind, crc32(header))).to_bytes(4, "big"), header, kind, body))


def scan(data: bytes, last: int, after: int = 0, limit: int | None = None) -> Scan:
    """Read the frames behind the sequence ``after``, at most ``limit``.

    ``last`` is the sequence of the frame before the first byte.  A damaged place is passed over to the next good frame,
    wherever that is.
    """
    frames: list[Frame] = []
    damages: list[Damage] = []
    position = 0
    for start, end, found in _found(data):
        if limit is not None and len(frames) >= limit:
            break
        if start > position:
            damages.append(Damage(position, start, last, found.seq))
        if found.seq > after:
            frames.append(found)
        position, last = end, found.seq
    return Scan(frames, damages, position, last)


def _found(data: bytes) -> Iterator[tuple[int, int, Frame]]:
    """Every good frame: where it begins and ends, and what it says."""
    at = 0
    while (at := data.find(MARK, at)) >= 0:
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
    _, checksum, version, kind_length, body_length, seq, moment = _HEADER.unpack_from(data, at)
    end = body_at + kind_length + body_length
    if body_length > LONGEST or end > len(data) or crc32(memoryview(data)[at + _COVERED : end]) != checksum:
        return at, None
    try:
        kind = data[body_at : body_at + kind_length].decode()
        return end, Frame(seq, moment, kind, data[body_at + kind_length : end].decode(), version)
    except UnicodeDecodeError:  # it is whole, but nobody of ours wrote it
        return at, None
