"""Entries in ascending order, in blocks.  Pure.

A heap with lazy deletion keeps what is dead until it is swept, and a sweep over 100,000 entries stops everything for
tens of milliseconds.  Sorted lists of at most :data:`LONG` entries in a row cost as little (``bisect`` and the moving
of half a block are C), take out exactly, know how many they are, and tell the place of an entry.  What mostly comes
in order is appended.  Entries are tuples that end with an id, so no two are equal.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from itertools import chain
from typing import Any

__all__ = ["LONG", "Entry", "Ordered"]

LONG = 512
"""The most entries of a block: what one insertion or removal may have to move."""

Entry = tuple[Any, ...]
"""Something to compare by, and the id of what is compared."""


class Ordered:
    """A sorted sequence: add, remove, the first, the place of one; each O(log n) comparisons and the moving of one block."""

    __slots__ = ("_blocks", "_bounds", "_length")

    def __init__(self) -> None:
        self._blocks: list[list[Entry]] = []
        self._bounds: list[Entry] = []
        """For each block an entry that is none of its own's less, and less than all of the next one's."""
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Entry]:
        return chain.from_iterable(self._blocks)

    def add(self, entry: Entry) -> None:
        """Put an entry in its place."""
        blocks, bounds = self._blocks, self._bounds
        self._length += 1
        if not blocks:
            blocks.append([entry])
            bounds.append(entry)
        elif entry > bounds[-1]:
            if len(blocks[-1]) < LONG:
                blocks[-1].append(entry)
                bounds[-1] = entry
            else:
                blocks.append([entry])
                bounds.append(entry)
        else:
            at = bisect_left(bounds, entry)
            block = blocks[at]
            insort(block, entry)
            if len(block) > LONG:
                half = len(block) // 2
                blocks.insert(at, block[:half])
                bounds.insert(at, block[half - 1])
                del block[:half]

    def remove(self, entry: Entry) -> None:
        """Take an entry out.  Raises KeyError when it is not there."""
        blocks = self._blocks
        if blocks and blocks[0][0] == entry:
            at = where = 0
        else:
            at, where = self._find(entry)
        block = blocks[at]
        del block[where]
        self._length -= 1
        if not block:
            del blocks[at], self._bounds[at]

    def first(self) -> Entry | None:
        """The least entry; None when there is none."""
        return self._blocks[0][0] if self._blocks else None

    def place(self, entry: Entry) -> int:
        """How many entries are before this one: the lengths of the blocks before its own are added.  Raises KeyError."""
        at, where = self._find(entry)
        return sum(map(len, self._blocks[:at])) + where

    def _find(self, entry: Entry) -> tuple[int, int]:
        at = bisect_left(self._bounds, entry)
        if at < len(self._blocks):
            where = bisect_left(self._blocks[at], entry)
            if where < len(self._blocks[at]) and self._blocks[at][where] == entry:
                return at, where
        raise KeyError(entry)
