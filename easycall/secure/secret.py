"""Text that is never shown: :class:`Secret`, and what may be said of it.  Pure."""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = ["STARS", "Forgotten", "Secret", "luhn", "mask"]

STARS = "***"
"""How a secret prints."""
SHOWN = 4
"""The most digits of a secret that a mask shows."""
SHORTEST = 8
"""A secret that is shorter than this is a PIN or a code: nothing of it is shown, not even its length."""


class Forgotten(Exception):
    """The secret was forgotten: its flow is over."""


class Secret:
    """Keyed digits that live in memory only.

    It prints as ``***`` however it is printed, and cannot be copied, pickled or written as JSON.  Only :meth:`reveal` gives
    the digits, so that whoever uses them can be found by that word.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text: str | None = text

    def reveal(self) -> str:
        """The digits, for who must have them.  Raises Forgotten."""
        if self._text is None:
            raise Forgotten("the secret is forgotten")
        return self._text

    def forget(self) -> None:
        """Drop the digits: from now on nobody gets them from here."""
        self._text = None

    def __repr__(self) -> str:
        return STARS

    def __format__(self, spec: str) -> str:
        return STARS

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret is not copied or stored")

    def __getstate__(self) -> NoReturn:
        raise TypeError("a secret is not copied or stored")

    def __eq__(self, other: Any) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of ISO/IEC 7812, as in card numbers.  Anything but ASCII digits is wrong."""
    if not (digits.isascii() and digits.isdigit()) or len(digits) < 2:
        return False
    doubled = (int(digit) * 2 for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(one - 9 if one > 9 else one for one in doubled)) % 10 == 0


def mask(digits: str) -> str:
    """Stars, and the end of a number that is long enough: a third of it, never more than four digits."""
    if len(digits) < SHORTEST:
        return "****"
    shown = min(SHOWN, len(digits) // 3)
    return "*" * (len(digits) - shown) + digits[-shown:]
