"""What came of it: figures as a fold over the events.  Pure."""

from __future__ import annotations

from collections import Counter

from easycall.events import Answered, ContactArrived, ContactEnded, Corrected, Event, OfferEnded, Queued
from easycall.model import OfferOutcome, Outcome
from easycall.policy import Channel

__all__ = ["SERVICE_SECONDS", "Figures"]

SERVICE_SECONDS = 20.0
"""The service level is the share of those who queued who are answered within this time."""


class Figures:
    """Takes every event."""

    def __init__(self) -> None:
        self.arrived = 0
        self.queued = 0
        self.answered = 0
        self.outcomes: Counter[Outcome] = Counter()
        self.offers: Counter[OfferOutcome] = Counter()
        self.corrected = 0
        """Differences between Asterisk and the daemon that were mended."""
        self.waited = 0.0
        """Seconds, of all who were answered."""
        self.longest_wait = 0.0
        self.in_time = 0
        self.peak = 0
        """The most contacts that lived at one moment."""
        self._called_back: set[str] = set()
        """Live contacts that call back: their customers have waited before, and do not wait on the line."""

    @property
    def ended(self) -> int:
        """How many contacts ended."""
        return self.outcomes.total()

    @property
    def live(self) -> int:
        """How many contacts live."""
        return self.arrived - self.ended

    @property
    def average_wait(self) -> float:
        """Seconds in queue of those who were answered."""
        return self.waited / self.answered if self.answered else 0.0

    @property
    def service_level(self) -> float:
        """From 0 to 1; see :data:`SERVICE_SECONDS`."""
        return self.in_time / self.queued if self.queued else 1.0

    def take(self, event: Event) -> None:
        """One more event."""
        match event:
            case ContactArrived():
                self.arrived += 1
                self.peak = max(self.peak, self.live)
                if event.channel is Channel.CALLBACK:
                    self._called_back.add(event.contact)
            case Queued() | Answered() if event.contact in self._called_back:
                pass
            case Queued():
                self.queued += 1
            case Answered():
                self.answered += 1
                self.waited += event.waited
                self.longest_wait = max(self.longest_wait, event.waited)
                self.in_time += event.waited <= SERVICE_SECONDS
            case OfferEnded():
                self.offers[event.outcome] += 1
            case ContactEnded():
                self.outcomes[event.outcome] += 1
                self._called_back.discard(event.contact)
            case Corrected():
                self.corrected += 1
