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

    __slots__ = ("_blocks", "_bounds", "first")

    def __init__(self) -> None:
        self.first: Entry | None = None
        """The least entry; None when there is none."""
        self._blocks: list[list[Entry]] = []
        self._bounds: list[Entry] = []
        """For each block an entry that none of its own is more than, and that is less than all of the next one's."""

    def __len__(self) -> int:
        return sum(map(len, self._blocks))

    def __iter__(self) -> Iterator[Entry]:
        return chain.from_iterable(self._blocks)

    def add(self, entry: Entry) -> None:
        """Put an entry in its place."""
        bounds = self._bounds
        if not bounds:
            self.first = entry
            self._blocks.append([entry])
            bounds.append(entry)
        elif entry > bounds[-1]:
            block = self._blocks[-1]
            if len(block) < LONG:
                block.append(entry)
                bounds[-1] = entry
            else:
                self._blocks.append([entry])
                bounds.append(entry)
        else:
            self._insert(entry)

    def _insert(self, entry: Entry) -> None:
        blocks, bounds = self._blocks, self._bounds
        at = bisect_left(bounds, entry)
        block = blocks[at]
        insort(block, entry)
        if block[0] is entry and not at:
            self.first = entry
        if len(block) > LONG:
            half = len(block) // 2
            blocks.insert(at, block[:half])
            bounds.insert(at, block[half - 1])
            del block[:half]

    def remove(self, entry: Entry) -> None:
        """Take an entry out.  Raises KeyError when it is not there."""
        if entry == self.first:
            at = where = 0
        else:
            at, where = self._find(entry)
        block = self._blocks[at]
        del block[where]
        if not block:
            del self._blocks[at], self._bounds[at]
        if not at and not where:
            self.first = self._blocks[0][0] if self._blocks else None

    def before(self, entry: Entry) -> int:
        """How many entries are less than this one, which need not be there."""
        at = bisect_left(self._bounds, entry)
        within = bisect_left(self._blocks[at], entry) if at < len(self._blocks) else 0
        return sum(map(len, self._blocks[:at])) + within

    def place(self, entry: Entry) -> int:
        """How many entries are before this one: the lengths of the blocks before its own are added.  Raises KeyError."""
        at, where = self._find(entry)
        return sum(map(len, self._blocks[:at])) + where

    def _find(self, entry: Entry) -> tuple[int, int]:
        at = bisect_left(self._bounds, entry)
        if at < len(self._blocks):
            block = self._blocks[at]
            where = bisect_left(block, entry)
            if where < len(block) and block[where] == entry:
                return at, where
        raise KeyError(entry)
