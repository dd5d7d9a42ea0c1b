"""The first over any set of classes, without looking at each of them.  Pure.

Each class has its members in order.  Which of the classes' first ones, their heads, is the first of all is asked for a
set of classes, given as a mask with one bit each.  The heads of all classes are on a ladder, in ascending order, cut
into blocks of at most :data:`WIDTH`.  A block has the mask of its classes, so the first block that has one of those
asked for is found with one ``&`` for each block, and in it the first one that was asked for is the answer: no more than
WIDTH heads are touched, whatever was asked for and in whatever order they stand.  A few classes are compared at once,
without the ladder.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from typing import Any

from easycall.acd.ordered import Entry, Ordered

__all__ = ["WIDTH", "Look", "Ranking", "Rung", "bits"]

WIDTH = 12
"""The most heads that are touched for one answer."""
Rung = tuple[Any, ...]
"""The head of a class, its entry, and at the end of it the mask of the class."""
Look = tuple[Rung, int, Sequence[Rung]]
"""The first one, the classes that were asked for and have members, and the rungs among which it was found."""
_FEW = 3
"""So many are compared without the ladder."""
_THIN = 3
"""A block with so few is joined with a neighbour that has room, so that there are few blocks."""


def bits(mask: int) -> Iterator[int]:
    """The numbers of the bits that are set, lowest first."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


class Ranking:
    """Members of classes, each with an entry to be ordered by.  A class is known by the number of its bit."""

    __slots__ = ("_blocks", "_lines", "_lows", "_masks", "mask")

    def __init__(self) -> None:
        self.mask = 0
        """The classes that have members."""
        self._lines: dict[int, Ordered] = {}
        # The ladder, block by block: its rungs are not less than its low, and less than the next one's.
        self._blocks: list[list[Rung]] = [[]]
        self._masks = [0]
        self._lows: list[Entry] = [()]

    def add(self, bit: int, entry: Entry) -> None:
        """A member for a class."""
        line = self._lines.get(bit)
        if line is None:
            line = self._lines[bit] = Ordered()
        head = line.first
        line.add(entry)
        if line.first is entry:
            one = 1 << bit
            if head is None:
                self.mask |= one
                self._climb(one, entry)
            else:
                self._move(one, head, entry)

    def remove(self, bit: int, entry: Entry) -> None:
        """Take a member out.  Raises KeyError when it is not there."""
        line = self._lines[bit]
        head = line.first
        line.remove(entry)
        following = line.first
        if following is not head:
            self._move(1 << bit, entry, following)

    def first(self, mask: int) -> Look | None:
        """The first member of all classes of a mask; None when these have no members."""
        found = mask & self.mask
        if not found:
            return None
        if found.bit_count() <= _FEW:
            lines = self._lines
            few = [(*(lines[bit].first or ()), 1 << bit) for bit in bits(found)]
            return (min(few), found, few)
        for some, block in zip(self._masks, self._blocks, strict=True):
            if some & found:
                for rung in block:
                    if rung[-1] & found:
                        return (rung, found, tuple(block))
        raise AssertionError("a class with members is on no rung")

    def count(self, bit: int) -> int:
        """How many members a class has."""
        line = self._lines.get(bit)
        return 0 if line is None else len(line)

    def members(self, bit: int) -> Iterator[Entry]:
        """The members of a class, in order."""
        return iter(self._lines.get(bit, ()))

    def forget(self, bit: int) -> None:
        """The class is no more: it has no members, and its bit may become another's."""
        self._lines.pop(bit, None)

    def _climb(self, one: int, head: Entry) -> None:
        at = bisect_right(self._lows, head) - 1
        block = self._blocks[at]
        insort(block, (*head, one))
        self._masks[at] |= one
        if len(block) > WIDTH:
            upper = block[WIDTH // 2 :]
            del block[WIDTH // 2 :]
            mask = sum(rung[-1] for rung in upper)
            self._masks[at] ^= mask
            self._masks.insert(at + 1, mask)
            self._blocks.insert(at + 1, upper)
            self._lows.insert(at + 1, upper[0][:-1])

    def _move(self, one: int, old: Entry, new: Entry | None) -> None:
        """A class has another head, or none any more."""
        lows = self._lows
        at = bisect_right(lows, old) - 1
        block = self._blocks[at]
        del block[bisect_left(block, old)]
        if new is None:
            self.mask ^= one
        elif lows[at] <= new and (at + 1 == len(lows) or new < lows[at + 1]):
            insort(block, (*new, one))
            return
        self._masks[at] ^= one
        if len(block) <= _THIN and len(lows) > 1:
            self._join(at or 1)
        if new is not None:
            self._climb(one, new)

    def _join(self, upper: int) -> None:
        """Two neighbours of which one is thin become one block, if there is room in one."""
        blocks = self._blocks
        if len(blocks[upper - 1]) + len(blocks[upper]) <= WIDTH * 2 // 3 or not blocks[upper - 1] or not blocks[upper]:
            blocks[upper - 1] += blocks.pop(upper)
            self._masks[upper - 1] |= self._masks.pop(upper)
            del self._lows[upper]
