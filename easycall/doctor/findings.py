"""What the doctor finds."""

from __future__ import annotations

import enum

from attrs import frozen

__all__ = ["Finding", "Level", "fault", "ok", "unseen", "warning"]


class Level(enum.Enum):
    """How bad it is."""

    FAULT = "fault"
    """Calls cannot be served."""
    WARNING = "warning"
    """Calls can be served, but not safely, or not always."""
    OK = "ok"
    UNSEEN = "unseen"
    """It cannot be looked at from here."""


@frozen
class Finding:
    """One thing that was looked at."""

    level: Level
    place: str
    """What it is about: a key of easycall.toml, or a file of Asterisk's and what in it."""
    text: str
    """How it is."""
    remedy: str = ""
    """What to do about it, in one line; empty when there is nothing to do."""

    def __str__(self) -> str:
        return f"{self.level.value:<8} {self.place}: {self.text}" + (f"; {self.remedy}" if self.remedy else "")


def ok(place: str, text: str) -> Finding:
    """All right."""
    return Finding(Level.OK, place, text)


def warning(place: str, text: str, remedy: str) -> Finding:
    """Not as it should be."""
    return Finding(Level.WARNING, place, text, remedy)


def fault(place: str, text: str, remedy: str) -> Finding:
    """Not as it must be."""
    return Finding(Level.FAULT, place, text, remedy)


def unseen(place: str, text: str, remedy: str) -> Finding:
    """Not to be seen; ``remedy`` is what to look for oneself."""
    return Finding(Level.UNSEEN, place, text, remedy)
