"""Stand-ins for the journal and for who reads the log: they keep what they are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from easycall.events import Event


class Notes:
    """A journal that only keeps."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.outlive = 0
        """How many of them the process would not take with it, were it killed now."""
        self.listeners: list[Callable[[Event], None]] = []

    def record(self, event: Event) -> None:
        self.events.append(event)
        for listener in self.listeners:
            listener(event)

    def write(self) -> None:
        self.outlive = len(self.events)

    def subscribe(self, listener: Callable[[int, Event], None]) -> Callable[[], None]:
        def told(event: Event) -> None:
            listener(len(self.events), event)

        self.listeners.append(told)
        return lambda: self.listeners.remove(told)

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


class Logged:
    """What is logged with a failure while the ``with`` lasts."""

    def __enter__(self) -> list[str]:
        self.failures: list[str] = []
        globalLogPublisher.addObserver(self._observe)
        return self.failures

    def __exit__(self, *_: object) -> None:
        globalLogPublisher.removeObserver(self._observe)

    def _observe(self, event: LogEvent) -> None:
        if "log_failure" in event:
            self.failures.append(f"{formatEvent(event)}: {event['log_failure'].getErrorMessage()}")
