"""Functions of the program that are called for events."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["Handler", "Handlers", "called", "log"]

log = logging.getLogger("AMI")
"""A logger of the standard library, as starpy has it.  What is sent is never logged: the secret is in it."""

Handler = Callable[[Any, Any], Any]
"""``function(ami, event)``"""


class Handlers:
    """Who is called for which event."""

    def __init__(self) -> None:
        self.eventTypeCallbacks: dict[str | None, list[Handler]] = {}

    def registerEvent(self, event: str | Iterable[str | None] | None, function: Handler) -> None:
        """Call ``function(ami, event)`` for the events of a name, of several, or with None of all names."""
        for name in _names(event):
            self.eventTypeCallbacks.setdefault(name, []).append(function)

    def deregisterEvent(self, event: str | Iterable[str | None] | None, function: Handler | None = None) -> bool:
        """Undo it for one function or for all; False when nothing is registered for one of the names."""
        success = True
        for name in _names(event):
            functions = self.eventTypeCallbacks.pop(name, None)
            success = success and functions is not None
            if function is not None and (left := [each for each in functions or () if each != function]):
                self.eventTypeCallbacks[name] = left
        return success


def _names(event: str | Iterable[str | None] | None) -> tuple[str | None, ...]:
    return (event,) if event is None or isinstance(event, str) else tuple(event)


def called(function: Callable[..., Any], *arguments: Any) -> None:
    """Call a function of the program; what it raises is logged and disturbs nobody else."""
    try:
        function(*arguments)
    except Exception:
        log.exception("%r failed", function)
