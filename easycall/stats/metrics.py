"""Counters and histograms for whoever watches the daemon: a fold over events.

They only grow, and begin anew with the daemon, as Prometheus expects.  What they are told apart by is bounded: queues,
trunks and Asterisks of the configuration, kinds of work and outcomes; never a number or a contact.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from attrs import define, field

from easycall.events import (
    Answered,
    CallAnswered,
    CallbackEnded,
    CallDialled,
    CallFailed,
    ContactArrived,
    ContactEnded,
    Corrected,
    CustomerErased,
    DataExpired,
    Event,
    OfferEnded,
    PbxDown,
    PbxUp,
    Queued,
    QueueLeft,
    QueueOverflowed,
    TalkEnded,
)
from easycall.model import CallbackSource, CallbackState, DialOutcome, OfferOutcome, Outcome
from easycall.policy import Channel

__all__ = ["TALK_BOUNDS", "WAIT_BOUNDS", "Histogram", "Metrics"]

WAIT_BOUNDS = (1.0, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0, 1800.0, 3600.0, 14400.0)
TALK_BOUNDS = (5.0, 15.0, 30.0, 60.0, 120.0, 180.0, 300.0, 450.0, 600.0, 900.0, 1800.0, 3600.0)
"""Seconds."""

MOST = 200_000
"""Live contacts, and numbers being dialled, that are kept apart; the oldest is forgotten then."""


@define
class Histogram:
    """How many values there were up to each bound, and their sum."""

    bounds: Sequence[float]
    counts: list[int] = field(init=False)
    """Of each bound by itself, the last one being of what is larger than all."""
    sum: float = 0.0

    def __attrs_post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        """One more value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


@define
class _Story:
    """What is known of a live contact."""

    channel: Channel = Channel.CALL
    queue: str = ""
    dialled: bool = False
    """The customer was."""
    waits: bool = False
    talks_since: float | None = None
    agent: str = ""


class Metrics:
    """The counters and histograms of one daemon; :meth:`take` is a listener of the journal."""

    def __init__(self) -> None:
        self.contacts: Counter[tuple[str, Outcome, Channel]] = Counter()
        """Ended ones, by the last queue (empty: none)."""
        self.offers: Counter[OfferOutcome] = Counter()
        self.dialled: Counter[tuple[str, DialOutcome]] = Counter()
        """By trunk."""
        self.callback_attempts: Counter[tuple[str, Outcome]] = Counter()
        """Customers who were dialled to be called back, by queue: how that ended."""
        self.callbacks: Counter[tuple[str, CallbackSource, CallbackState]] = Counter()
        """Ended ones, by queue."""
        self.reconnects: Counter[str] = Counter()
        """Links that were lost and came back, by Asterisk."""
        self.corrections: Counter[str] = Counter()
        """By Asterisk."""
        self.removed: Counter[tuple[str, str]] = Counter()
        """What is no more, and why (``expired``, ``erased``)."""
        self.waits: defaultdict[str, Histogram] = defaultdict(lambda: Histogram(WAIT_BOUNDS))
        """Of those who were answered, by queue; without callbacks, whose customers were not on the line."""
        self.talks: defaultdict[str, Histogram] = defaultdict(lambda: Histogram(TALK_BOUNDS))
        """From the answer of an agent until they parted, holds included, by queue."""
        self._stories: dict[str, _Story] = {}
        self._trunks: dict[str, str] = {}
        """Leg that is dialled -> trunk."""
        self._down: set[str] = set()

    def take(self, sequence: int, event: Event) -> None:
        """One more event."""
        match event:
            case ContactArrived():
                self._story(event.contact).channel = event.channel
            case Queued():
                story = self._story(event.contact)
                story.channel, story.queue, story.waits = event.channel, event.queue, True
            case QueueLeft():
                if (known := self._stories.get(event.contact)) is not None:
                    known.waits = False
            case QueueOverflowed():
                story = self._story(event.contact)
                story.queue, story.waits = event.queue, False
            case Answered():
                self._answered(event)
            case TalkEnded():
                if (known := self._stories.get(event.contact)) is not None and event.agent in ("", known.agent):
                    self._parts(known, event.at)
            case ContactEnded():
                story = self._stories.pop(event.contact, _Story())
                self._parts(story, event.at)
                self.contacts[story.queue, event.outcome, story.channel] += 1
                if story.channel is Channel.CALLBACK and story.dialled:
                    self.callback_attempts[story.queue, event.outcome] += 1
            case CallbackEnded():
                self.callbacks[event.queue, event.source, event.state] += 1
            case OfferEnded():
                self.offers[event.outcome] += 1
            case CallDialled() | CallAnswered() | CallFailed():
                self._dials(event)
            case DataExpired() | CustomerErased():
                self._removed(event)
            case PbxDown() | PbxUp() | Corrected():
                self._pbx(event)

    def _story(self, contact: str) -> _Story:
        story = self._stories.get(contact)
        if story is None:
            _make_room(self._stories)
            story = self._stories[contact] = _Story()
        return story

    def _answered(self, event: Answered) -> None:
        story = self._story(event.contact)
        # Who does not wait comes from an agent, and ``waited`` is another time.
        if story.waits and story.channel is not Channel.CALLBACK:
            self.waits[event.queue].observe(event.waited)
        self._parts(story, event.at)
        story.queue, story.waits = event.queue or story.queue, False
        story.talks_since, story.agent = event.at, event.agent

    def _parts(self, story: _Story, at: float) -> None:
        if story.talks_since is not None:
            self.talks[story.queue].observe(max(0.0, at - story.talks_since))
            story.talks_since = None

    def _dials(self, event: CallDialled | CallAnswered | CallFailed) -> None:
        if isinstance(event, CallDialled):
            _make_room(self._trunks)
            self._trunks[event.leg] = event.trunk
            if event.purpose == "customer" and (story := self._stories.get(event.contact)) is not None:
                story.dialled = True
            return
        trunk = self._trunks.pop(event.leg, None)
        if trunk is not None:
            self.dialled[trunk, event.outcome if isinstance(event, CallFailed) else DialOutcome.ANSWERED] += 1

    def _removed(self, event: DataExpired | CustomerErased) -> None:
        why = "expired" if isinstance(event, DataExpired) else "erased"
        self.removed["contacts", why] += event.contacts
        self.removed["recordings", why] += event.recordings
        self.removed["voicemails", why] += event.voicemails
        self.removed["callbacks", why] += event.callbacks
        if isinstance(event, DataExpired):
            self.removed["events", why] += event.events
        else:
            self.removed["faxes", why] += event.faxes

    def _pbx(self, event: PbxDown | PbxUp | Corrected) -> None:
        if isinstance(event, Corrected):
            self.corrections[event.pbx] += 1
        elif isinstance(event, PbxDown):
            self._down.add(event.pbx)
        elif event.pbx in self._down:
            self._down.discard(event.pbx)
            self.reconnects[event.pbx] += 1


def _make_room(kept: dict[str, Any]) -> None:
    if len(kept) >= MOST:
        del kept[next(iter(kept))]
