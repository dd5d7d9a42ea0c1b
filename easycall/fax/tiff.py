"""How many pages a TIFF file has.  Pure but for reading; nothing in the file is trusted."""

from __future__ import annotations

import struct
from typing import BinaryIO

__all__ = ["count_pages"]

MAX_ENTRIES = 4096
ENTRY_BYTES = 12


def count_pages(file: BinaryIO, limit: int) -> int:
    """The pages of a TIFF file, at most ``limit``.  Raises ValueError for one that is none, is cut, or goes in circles."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(_read(file, 0, 4))
    if order is None:
        raise ValueError("it is no TIFF file")
    (at,) = struct.unpack(f"{order}I", _read(file, 4, 4))
    seen: set[int] = set()
    while at and len(seen) < limit:
        if at in seen:
            raise ValueError("its pages go in circles")
        seen.add(at)
        (entries,) = struct.unpack(f"{order}H", _read(file, at, 2))
        if not 0 < entries <= MAX_ENTRIES:
            raise ValueError("one of its pages is damaged")
        (at,) = struct.unpack(f"{order}I", _read(file, at + 2 + ENTRY_BYTES * entries, 4))
    return len(seen)


def _read(file: BinaryIO, at: int, length: int) -> bytes:
    file.seek(at)
    data = file.read(length)
    if len(data) != length:
        raise ValueError("it is cut short")
    return data
