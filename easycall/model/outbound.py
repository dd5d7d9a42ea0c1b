"""Nouns of calls out."""

from __future__ import annotations

from enum import StrEnum

from attrs import frozen

from easycall.model.names import NUMBER

__all__ = ["DialOutcome", "First", "Trunk"]


class First(StrEnum):
    """Whose telephone rings first when a customer is called."""

    CUSTOMER = "customer"
    AGENT = "agent"


class DialOutcome(StrEnum):
    """What became of a number that was dialled."""

    ANSWERED = "answered"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    DECLINED = "declined"
    UNALLOCATED = "unallocated"
    """There is no such number."""
    CONGESTION = "congestion"
    """The network or the trunk could not carry the call."""
    UNREACHABLE = "unreachable"
    """The number is there and its telephone is not."""
    CANCELLED = "cancelled"
    """We took it back before it was answered."""
    LOST = "lost"
    """It disappeared without a word: lost with the link to Asterisk."""


@frozen
class Trunk:
    """A way out into the telephone network."""

    name: str
    asterisk: str
    """The name of the Asterisk it belongs to."""
    dial: str
    """The dial string, with ``{number}`` (``+4930…``) or ``{digits}`` (``4930…``)."""
    lines: int
    """How many calls it carries at once."""
    prefixes: tuple[str, ...] = ("+",)
    """What it is used for: the beginnings of numbers."""
    caller_ids: tuple[str, ...] = ()
    """The numbers it may show; the first unless something else is asked for."""

    def dial_string(self, number: str) -> str:
        """What Asterisk is told to dial.  Raises ValueError for what is no number that may be dialled."""
        if not NUMBER.fullmatch(number):
            raise ValueError(f"number {number!r} must not be dialled")
        return self.dial.format(number=number, digits=number.removeprefix("+"))
