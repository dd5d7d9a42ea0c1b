"""The first over any set of classes, without looking at each of them.  Pure.

Each class has its members in order.  Which of the classes' first ones is the first of all is asked for a set of
classes, given as a mask with one bit each.  The heads of all classes are kept in a ladder: blocks of at most
:data:`WIDTH` heads, in ascending order from block to block and in none within.  A block has the mask of its classes,
so the first block that has one of those asked for is found with one ``&`` for each block, and only its own heads that
were asked for are compared: at most ``min(k, WIDTH)``, where k classes were asked for, whatever the order they stand
in.  A few classes are compared at once, without the ladder.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from easycall.acd.ordered import Entry, Ordered

__all__ = ["WIDTH", "Ranking", "bits"]

WIDTH = 12
"""The most heads that are compared for one answer."""
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

    __slots__ = ("_lines", "_lows", "_masks", "_sizes", "mask")

    def __init__(self) -> None:
        self.mask = 0
        """The classes that have members."""
        self._lines: dict[int, Ordered] = {}
        # The ladder, block by block: a block has the heads that are not less than its low and less than the next one's.
        self._lows: list[Entry] = [()]
        self._masks = [0]
        self._sizes = [0]

    def add(self, bit: int, entry: Entry) -> None:
        """A member for a class."""
        line = self._lines.get(bit)
        if line is None:
            line = self._lines[bit] = Ordered()
        head = line.first
        line.add(entry)
        if line.first is entry:
            if head is None:
                self.mask |= 1 << bit
            self._move(1 << bit, head, entry)

    def remove(self, bit: int, entry: Entry) -> None:
        """Take a member out.  Raises KeyError when it is not there."""
        line = self._lines[bit]
        head = line.first
        line.remove(entry)
        following = line.first
        if following is not head:
            if following is None:
                self.mask ^= 1 << bit
            self._move(1 << bit, head, following)

    def heads(self, mask: int) -> Sequence[Entry]:
        """At most WIDTH heads, among them the first member of all classes of the mask; none when these have no members."""
        found = mask & self.mask
        if not found:
            return ()
        if found.bit_count() > _FEW:
            for block in self._masks:
                if block & found:
                    found &= block
                    break
        lines = self._lines
        heads = []
        while found:
            lowest = found & -found
            heads.append(lines[lowest.bit_length() - 1].first)
            found ^= lowest
        return heads  # type: ignore[return-value]  # classes in the mask have a first one

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

    def _move(self, one: int, old: Entry | None, new: Entry | None) -> None:
        """A class has another head: to its block; None: it has, or had, none."""
        lows, masks, sizes = self._lows, self._masks, self._sizes
        here = 0
        there = bisect_right(lows, new) - 1 if new is not None else -1
        if old is not None:
            here = bisect_right(lows, old) - 1
            if here == there:
                return
            masks[here] ^= one
            sizes[here] -= 1
        if new is not None:
            masks[there] |= one
            sizes[there] += 1
            if sizes[there] > WIDTH:
                self._split(there)
                here += there < here
        if old is not None and sizes[here] <= _THIN and len(lows) > 1:
            self._join(here)

    def _split(self, at: int) -> None:
        """A block becomes two."""
        heads = sorted((self._lines[bit].first or (), bit) for bit in bits(self._masks[at]))
        upper = heads[len(heads) // 2 :]
        mask = sum(1 << bit for _, bit in upper)
        self._masks[at] ^= mask
        self._sizes[at] -= len(upper)
        self._masks.insert(at + 1, mask)
        self._sizes.insert(at + 1, len(upper))
        self._lows.insert(at + 1, upper[0][0])

    def _join(self, at: int) -> None:
        """A thin block and a neighbour become one, if it is empty or both have room in one."""
        upper = at or 1
        masks, sizes = self._masks, self._sizes
        if not sizes[at] or sizes[upper - 1] + sizes[upper] <= WIDTH // 2:
            masks[upper - 1] |= masks.pop(upper)
            sizes[upper - 1] += sizes.pop(upper)
            del self._lows[upper]
