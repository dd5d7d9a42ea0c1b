"""The places of a queue: who is before whom, and how many.  Pure.

Most come in order and go from anywhere, and hardly one asks for the place: so a place is given up without a search, and
counted and sorted when somebody asks.  The places are cut into blocks of at most :data:`LONG`, one behind the other.  Who
takes a place is told its block, and gives the place up there.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import chain

from easycall.acd.ordered import Entry

__all__ = ["LONG", "Block", "Places"]

LONG = 512
"""The most places of a block: what a question may have to look through."""


class Block(dict[str, Entry]):
    """Contact -> its place."""

    __slots__ = ("in_order",)

    def __init__(self) -> None:
        super().__init__()
        self.in_order = True

    def sort(self) -> Block:
        """Itself, in order."""
        if not self.in_order:
            places = sorted(self.values())
            self.clear()
            self.update((place[-1], place) for place in places)
            self.in_order = True
        return self


class Places:
    """All places of one queue.  A place is an entry that ends with its contact."""

    __slots__ = ("_blocks", "_last", "_lows", "_top")

    def __init__(self) -> None:
        self._last = Block()
        """The last block, to which most is added."""
        self._blocks = [self._last]
        """None of them is empty, but for the only one."""
        self._lows: list[Entry] = [()]
        """For each block a place that none of its own is before, and that is behind all of the one before's."""
        self._top: Entry = ()
        """A place that none is behind."""

    def __len__(self) -> int:
        return sum(map(len, self._blocks))

    def __iter__(self) -> Iterator[Entry]:
        return chain.from_iterable(list(block.sort().values()) for block in self._blocks)

    @property
    def first(self) -> Entry | None:
        """The first place; None when there is none."""
        return next(iter(self._blocks[0].sort().values()), None)

    def add(self, place: Entry) -> Block:
        """A place is taken; the block to give it up with."""
        block = self._last
        if place > self._top and len(block) < LONG:
            self._top = place
        else:
            block = self._insert(place)
        block[place[-1]] = place
        return block

    def _insert(self, place: Entry) -> Block:
        """The block for a place that is before others, or for which the last block has no room."""
        if place > self._top:
            self._top = place
            self._last = Block()
            self._blocks.append(self._last)
            self._lows.append(place)
            return self._last
        at = bisect_right(self._lows, place) - 1
        block = self._blocks[at]
        if len(block) >= LONG:
            self._split(at)
            return self._insert(place)
        block.in_order = False
        return block

    def _split(self, at: int) -> None:
        """Half of a block goes on in a new one behind it."""
        block, upper = self._blocks[at], Block()
        for place in list(block.sort().values())[LONG // 2 :]:
            upper[place[-1]] = block.pop(place[-1])
        self._blocks.insert(at + 1, upper)
        self._lows.insert(at + 1, next(iter(upper.values())))
        self._last = self._blocks[-1]

    def remove(self, place: Entry, block: Block) -> None:
        """A place is given up, with the block that was told for it, though it may have been split.  Raises KeyError."""
        contact = place[-1]
        if contact not in block:
            block = self._blocks[bisect_right(self._lows, place) - 1]
        del block[contact]
        if not block:
            self._drop(place)

    def _drop(self, place: Entry) -> None:
        """The block of a place is empty: the first one reaches down to anything, and the last one up."""
        if len(self._blocks) > 1:
            at = bisect_right(self._lows, place) - 1
            del self._blocks[at], self._lows[at or 1]
            self._last = self._blocks[-1]

    def before(self, place: Entry) -> int:
        """How many places are before this one, which need not be there.

        The lengths of the blocks before its own are added, and its own is gone through.
        """
        if place > self._top:
            return len(self)
        at = bisect_right(self._lows, place) - 1
        return sum(map(len, self._blocks[:at])) + bisect_left(list(self._blocks[at].sort().values()), place)
