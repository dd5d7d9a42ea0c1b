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


class _Block:
    """Neighbours on the ladder."""

    __slots__ = ("mask", "size")

    def __init__(self, mask: int = 0, size: int = 0) -> None:
        self.mask = mask
        self.size = size


class Ranking:
    """Members of classes, each with an entry to be ordered by.  A class is known by the number of its bit."""

    __slots__ = ("_blocks", "_home", "_lines", "_lows", "mask")

    def __init__(self) -> None:
        self.mask = 0
        """The classes that have members."""
        self._lines: dict[int, Ordered] = {}
        self._blocks: list[_Block] = [_Block()]
        self._lows: list[Entry] = [()]
        """For each block an entry that is not more than its heads; the first is less than any."""
        self._home: dict[int, _Block] = {}

    def add(self, bit: int, entry: Entry) -> None:
        """A member for a class."""
        line = self._lines.get(bit)
        if line is None:
            line = self._lines[bit] = Ordered()
        head = line.first
        line.add(entry)
        if head is None:
            self.mask |= 1 << bit
            self._climb(bit, entry)
        elif line.first is entry:
            self._move(bit, head, entry)

    def remove(self, bit: int, entry: Entry) -> None:
        """Take a member out.  Raises KeyError when it is not there."""
        line = self._lines[bit]
        head = line.first
        line.remove(entry)
        following = line.first
        if following is None:
            self.mask ^= 1 << bit
            self._leave(bit, entry)
        elif following is not head:
            self._move(bit, entry, following)

    def heads(self, mask: int) -> Sequence[Entry]:
        """At most WIDTH heads, among them the first member of all classes of the mask; none when these have no members."""
        found = mask & self.mask
        if not found:
            return ()
        if found.bit_count() > _FEW:
            for block in self._blocks:
                some = block.mask & found
                if some:
                    found = some
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

    # The ladder

    def _climb(self, bit: int, head: Entry) -> None:
        at = bisect_right(self._lows, head) - 1
        block = self._home[bit] = self._blocks[at]
        block.mask |= 1 << bit
        block.size += 1
        if block.size > WIDTH:
            self._split(at)

    def _leave(self, bit: int, head: Entry) -> None:
        block = self._home.pop(bit)
        block.mask ^= 1 << bit
        block.size -= 1
        if block.size <= _THIN and len(self._blocks) > 1:
            at = bisect_right(self._lows, head) - 1
            self._join(max(at, 1), block)

    def _join(self, upper: int, thin: _Block) -> None:
        """Two neighbours become one, if one of them is empty or both are small."""
        left, right = self._blocks[upper - 1 : upper + 1]
        if not thin.size or left.size + right.size <= WIDTH * 2 // 3:
            self._home.update(dict.fromkeys(bits(right.mask), left))
            left.mask |= right.mask
            left.size += right.size
            del self._blocks[upper], self._lows[upper]

    def _move(self, bit: int, old: Entry, new: Entry) -> None:
        if len(self._blocks) > 1 and self._blocks[bisect_right(self._lows, new) - 1] is not self._home[bit]:
            self._leave(bit, old)
            self._climb(bit, new)

    def _split(self, at: int) -> None:
        block = self._blocks[at]
        ordered = sorted(bits(block.mask), key=self._first)
        upper = ordered[len(ordered) // 2 :]
        moved = _Block(sum(1 << bit for bit in upper), len(upper))
        block.mask ^= moved.mask
        block.size -= moved.size
        self._home.update(dict.fromkeys(upper, moved))
        self._blocks.insert(at + 1, moved)
        self._lows.insert(at + 1, self._first(upper[0]))

    def _first(self, bit: int) -> Entry:
        return self._lines[bit].first or ()
