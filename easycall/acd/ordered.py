"""Entries in ascending order, in blocks.  Pure.

A heap with lazy deletion keeps what is dead until it is swept, and a sweep over 100,000 entries stops everything for
tens of milliseconds.  Sorted lists of at most :data:`LONG` entries in a row cost as little (``bisect`` and the moving
of half a block are C), and take out exactly.  What mostly comes in order is appended, and what mostly goes is the first.
Entries are tuples that end with an id, so no two are equal.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from itertools import chain
from typing import Any

__all__ = ["LONG", "Entry", "Ordered"]

LONG = 512
"""The most entries of a block: what one insertion or removal may have to move."""

Entry = tuple[Any, ...]
"""Something to compare by, and the id of what is compared."""


class Ordered:
    """A sorted sequence: add, remove, the first; each O(log n) comparisons and the moving of one block."""

    __slots__ = ("_blocks", "_last", "_lows", "first")

    def __init__(self) -> None:
        self.first: Entry | None = None
        """The least entry; None when there is none."""
        self._last: list[Entry] = []
        """The last block, to which most is added."""
        self._blocks = [self._last]
        """None of them is empty, but for the only one."""
        self._lows: list[Entry] = [()]
        """For each block an entry that none of its own is less than, and that is more than all of the one before's."""

    def __len__(self) -> int:
        return sum(map(len, self._blocks))

    def __iter__(self) -> Iterator[Entry]:
        return chain.from_iterable(self._blocks)

    def add(self, entry: Entry) -> None:
        """Put an entry in its place."""
        last = self._last
        if self.first is None:
            self.first = entry
            last.append(entry)
        elif entry < last[-1]:
            self._insert(entry)
        elif len(last) < LONG:
            last.append(entry)
        else:
            self._last = [entry]
            self._blocks.append(self._last)
            self._lows.append(entry)

    def _insert(self, entry: Entry) -> None:
        blocks = self._blocks
        at = bisect_right(self._lows, entry) - 1
        block = blocks[at]
        insort(block, entry)
        if block[0] is entry and not at:
            self.first = entry
        if len(block) > LONG:
            half = len(block) // 2
            lower = block[:half]
            del block[:half]
            blocks.insert(at, lower)
            self._lows.insert(at + 1, block[0])

    def remove(self, entry: Entry) -> None:
        """Take an entry out.  Raises KeyError when it is not there."""
        if entry == self.first:
            self.pop()
            return
        at, where = self._find(entry)
        block = self._blocks[at]
        del block[where]
        if not block:
            del self._blocks[at], self._lows[at]
            self._last = self._blocks[-1]

    def pop(self) -> None:
        """Take the first out.  There must be one."""
        block = self._blocks[0]
        del block[0]
        if not block and len(self._blocks) > 1:
            del self._blocks[0], self._lows[1]  # the second block reaches down to where this one began
            block = self._blocks[0]
        self.first = block[0] if block else None

    def _find(self, entry: Entry) -> tuple[int, int]:
        at = bisect_right(self._lows, entry) - 1
        block = self._blocks[at]
        where = bisect_left(block, entry)
        if where < len(block) and block[where] == entry:
            return at, where
        raise KeyError(entry)
