"""Where a test lets the process die, to see what the journal's file has then."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["CrashPoint"]


class CrashPoint:
    """Where a test wants the process to die: at its n-th write, before it (``"7-"``) or after it (``"7+"``)."""

    def __init__(self, text: str, die: Callable[[], None]) -> None:
        """Raises ValueError for any other text.  ``die`` kills the process."""
        number, moment = text[:-1], text[-1:]
        if not number.isdecimal() or int(number) < 1 or moment not in ("-", "+"):
            raise ValueError(f"{text!r}: must be the number of a write and - (before it) or + (after it), such as 7+")
        self._left = int(number)
        self._after = moment == "+"
        self._die = die

    def before(self) -> None:
        """A write follows."""
        self._left -= 1
        if self._left == 0 and not self._after:
            self._die()

    def after(self) -> None:
        """The write is done."""
        if self._left == 0 and self._after:
            self._die()
