"""The first over any set of classes, without looking at each of them.  Pure.

Each class has its members in order.  Which of the classes' first ones, their heads, is the first of all is asked for a
set of classes, given as a mask with one bit each.  The heads of all classes are on a ladder, in ascending order, cut
into blocks of at most :data:`WIDTH`.  A block has the mask of its classes, so the first block that has one of those
asked for is found with one ``&`` for each block, and in it the first one that was asked for is the answer: no more than
WIDTH heads are touched, whatever was asked for and in whatever order they stand.  The head of a single class is known
without the ladder.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from typing import Any

from easycall.acd.ordered import LONG, Entry, Ordered

__all__ = ["WIDTH", "Look", "Members", "Ranking", "Rung", "bits"]

WIDTH = 12
"""The most heads that are touched for one answer."""
Rung = tuple[Any, ...]
"""The head of a class, its entry, and at the end of it the mask of the class."""
Look = tuple[Rung, int, Sequence[Rung]]
"""The first one, the classes that were asked for and have members, and the rungs among which it was found."""
_THIN = 3
"""A block with so few is joined with a neighbour that has room, so that there are few blocks."""


def bits(mask: int) -> Iterator[int]:
    """The numbers of the bits that are set, lowest first."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


class Ladder:
    """The heads of classes."""

    __slots__ = ("blocks", "lows", "mask", "masks")

    def __init__(self) -> None:
        self.mask = 0
        """The classes that have a head."""
        self.blocks: list[list[Rung]] = [[]]
        self.masks = [0]
        """For each block its classes."""
        self.lows: list[Entry] = [()]
        """For each block an entry that none of its own is less than, and that is more than all of the one before's."""

    def move(self, one: int, old: Entry | None, new: Entry | None) -> None:
        """A class has another head; None: it had none, or has none any more."""
        lows, blocks, masks = self.lows, self.blocks, self.masks
        to = -1 if new is None else bisect_right(lows, new) - 1
        if old is None:
            self.mask |= one
        else:
            at = bisect_right(lows, old) - 1
            block = blocks[at]
            del block[bisect_left(block, old)]
            if at == to and new is not None:
                insort(block, (*new, one))
                return
            masks[at] ^= one
            if len(block) <= _THIN and len(blocks) > 1 and self._join(at or 1) and to >= (at or 1):
                to -= 1
        if new is None:
            self.mask ^= one
        else:
            block = blocks[to]
            insort(block, (*new, one))
            masks[to] |= one
            if len(block) > WIDTH:
                self._split(to)

    def _split(self, at: int) -> None:
        block = self.blocks[at]
        upper = block[WIDTH // 2 :]
        del block[WIDTH // 2 :]
        mask = 0
        for rung in upper:
            mask |= rung[-1]
        self.masks[at] ^= mask
        self.masks.insert(at + 1, mask)
        self.blocks.insert(at + 1, upper)
        self.lows.insert(at + 1, upper[0][:-1])

    def _join(self, upper: int) -> bool:
        """Two neighbours of which one is thin become one block, if there is room in one."""
        blocks = self.blocks
        lower, higher = blocks[upper - 1], blocks[upper]
        joined = len(lower) + len(higher) <= WIDTH * 2 // 3 or not lower or not higher
        if joined:
            lower += higher
            self.masks[upper - 1] |= self.masks.pop(upper)
            del blocks[upper], self.lows[upper]
        return joined


class Members(Ordered):
    """The members of one class, the first of which is on the ladder."""

    __slots__ = ("_ladder", "_one")

    def __init__(self, bit: int, ladder: Ladder) -> None:
        super().__init__()
        self._one = 1 << bit
        self._ladder = ladder

    def add(self, entry: Entry) -> None:
        """A member comes."""
        last = self._last
        if last and last[-1] < entry and len(last) < LONG:  # as mostly, and then there is no more to do
            last.append(entry)
            return
        head = self.first
        super().add(entry)
        if self.first is not head:
            self._ladder.move(self._one, head, entry)

    def remove(self, entry: Entry) -> None:
        """A member goes.  Raises KeyError when it is not there."""
        if entry != self.first:
            super().remove(entry)
            return
        block = self._blocks[0]
        if len(block) > 1:  # as mostly: what pop() does is done here
            del block[0]
            self.first = block[0]
        else:
            self.pop()
        self._ladder.move(self._one, entry, self.first)


class Ranking:
    """Members of classes, each with an entry to be ordered by.  A class is known by the number of its bit."""

    __slots__ = ("_classes", "ladder")

    def __init__(self) -> None:
        self._classes: dict[int, Members] = {}
        self.ladder = Ladder()

    @property
    def mask(self) -> int:
        """The classes that have members."""
        return self.ladder.mask

    def of(self, bit: int) -> Members:
        """The members of a class, which come and go there."""
        members = self._classes.get(bit)
        if members is None:
            members = self._classes[bit] = Members(bit, self.ladder)
        return members

    def first(self, mask: int) -> Look | None:
        """The first member of all classes of a mask; None when these have no members."""
        ladder = self.ladder
        found = mask & ladder.mask
        if not found:
            return None
        if not found & (found - 1):  # a single class
            rung = (*(self._classes[found.bit_length() - 1].first or ()), found)
            return (rung, found, (rung,))
        for at, some in enumerate(ladder.masks):
            if some & found:
                block = ladder.blocks[at]
                for rung in block:
                    if rung[-1] & found:
                        return (rung, found, tuple(block))
        raise AssertionError("a class with members is on no rung")

    def count(self, bit: int) -> int:
        """How many members a class has."""
        return len(self._classes.get(bit, ()))
