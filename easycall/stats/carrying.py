"""What stands open, on its way into a new segment of the journal's file: in slices, so that no turn is long."""

from __future__ import annotations

from collections.abc import Iterator

from easycall.stats.framing import Frame, bracketed, frame

__all__ = ["Carrying"]

SLICE = 32 << 10
"""Bytes of one slice; its last frame may go beyond."""


class Carrying:
    """One set of carried frames, made as it is written."""

    def __init__(self, frames: Iterator[Frame], most: int) -> None:
        """``most``: bytes it may have."""
        self._frames = bracketed(frames)
        self._most = most
        self._slice = min(SLICE, most // 4)
        self.size = 0
        """Bytes so far."""
        self.whole = False
        """Whether all was given."""

    @property
    def too_long(self) -> bool:
        """Whether it has more bytes than it may."""
        return self.size > self._most

    def slice(self) -> bytes:
        """The next bytes to write."""
        taken: list[bytes] = []
        length = 0
        for one in self._frames:
            data = frame(one)
            taken.append(data)
            length += len(data)
            if length >= self._slice:
                break
        else:
            self.whole = True
        self.size += length
        return b"".join(taken)
