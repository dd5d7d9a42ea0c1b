"""The service level of today: how many were answered in time, of each queue and each kind of work.  A fold over events.

A day is that of the arrival in the queue, in the time zone of the queue's opening hours, or else of this machine.  Figures
begin anew with the daemon.  The clock of those who wait for somebody (a call, a chat) runs all the time; that of what waits
to be worked through (a message, voice mail, fax) stands still while the queue is closed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, tzinfo

from attrs import define, field, frozen

from easycall.events import Answered, ContactEnded, Event, Queued, QueueLeft, QueueOverflowed
from easycall.model import EndedBy, Queue
from easycall.policy import PATIENT, Channel

__all__ = ["TARGETS", "Level", "ServiceLevels", "Tally"]

TARGETS: Mapping[Channel, float] = {
    Channel.CALL: 20.0,
    Channel.CALLBACK: 300.0,
    Channel.CALL_ME: 300.0,
    Channel.CHAT: 60.0,
    Channel.MESSAGE: 14_400.0,
    Channel.VOICEMAIL: 14_400.0,
    Channel.FAX: 14_400.0,
}
"""Within how many seconds each kind is to be answered, where a queue says nothing else."""


@define
class Tally:
    """What became of those who came today: ``queued`` is the sum of all others and of those who still wait."""

    queued: int = 0
    answered: int = 0
    answered_within: int = 0
    """Of these, within the target."""
    abandoned: int = 0
    """The customer left."""
    abandoned_within: int = 0
    flowed_out: int = 0
    """By a rule of the queue, by a key, or to another queue."""
    failed: int = 0
    """Ended otherwise: by the API, an Asterisk that died."""


@frozen
class Level:
    """The service level of one kind of work in a queue, now."""

    target: float
    """Seconds."""
    tally: Tally
    waiting: int
    """How many wait now, whenever they came."""
    late: int
    """How many of them for longer than the target."""

    @property
    def share(self) -> float | None:
        """answered within the target / (answered + abandoned), ``sl_abandons``; None while there were none."""
        those = self.tally.answered + self.tally.abandoned
        return self.tally.answered_within / those if those else None


@frozen
class _Wait:
    """One that waits."""

    queue: str
    channel: Channel
    since: float
    day: date
    left: bool = False
    """The caller went back to the flow by a key, and the place is kept."""


@define
class _Kind:
    """One kind of work in a queue."""

    day: date
    tally: Tally = field(factory=Tally)
    waiting: dict[str, float] = field(factory=dict)
    """Contact -> since when it waits."""


class ServiceLevels:
    """Of all queues."""

    def __init__(self, queues: Mapping[str, Queue], zone: tzinfo | None = None) -> None:
        """``queues``: as they are at any time; ``zone``: of queues without opening hours, None: this machine's."""
        self._queues = queues
        self._zone = zone
        self._waits: dict[str, _Wait] = {}
        self._kinds: dict[tuple[str, Channel], _Kind] = {}

    def of_queue(self, queue: str, now: float) -> Mapping[Channel, Level]:
        """Each kind of work that came today or waits, and calls in any case.  Raises KeyError."""
        today, found = self._day(queue, now), {}
        for channel in Channel:
            kind = self._kinds.get((queue, channel))
            tally = kind.tally if kind is not None and kind.day == today else Tally()
            waiting = kind.waiting if kind is not None else {}
            if tally.queued or waiting or channel is Channel.CALL:
                target = self._target(queue, channel)
                late = sum(self._waited(queue, channel, since, now) > target for since in waiting.values())
                found[channel] = Level(target, tally, len(waiting), late)
        return found

    def take(self, sequence: int, event: Event) -> None:
        """A listener of the journal."""
        match event:
            case Queued() if event.queue in self._queues:
                self._joins(event)
            case QueueLeft():
                self._steps_aside(event)
            case QueueOverflowed():
                if (wait := self._leaves(event.contact)) is not None:
                    self._of(wait).flowed_out += 1
            case Answered():
                if (wait := self._leaves(event.contact)) is not None:
                    tally = self._of(wait)
                    tally.answered += 1
                    tally.answered_within += self._in_time(wait, event.at)
            case ContactEnded():
                self._ends(event)

    def _joins(self, event: Queued) -> None:
        since = event.since or event.at
        wait = _Wait(event.queue, event.channel, since, self._day(event.queue, since))
        before = self._leaves(event.contact)
        if before is not None and (before.queue, before.since) != (wait.queue, wait.since):
            self._of(before).flowed_out += 1
            before = None
        self._waits[event.contact] = wait
        kind = self._kind(wait)
        kind.waiting[event.contact] = since
        if before is None:
            self._of(wait).queued += 1

    def _steps_aside(self, event: QueueLeft) -> None:
        wait = self._leaves(event.contact)
        if wait is not None:
            self._waits[event.contact] = _Wait(wait.queue, wait.channel, wait.since, wait.day, left=True)

    def _ends(self, event: ContactEnded) -> None:
        wait = self._leaves(event.contact)
        if wait is None:
            return
        tally = self._of(wait)
        if wait.left:
            tally.flowed_out += 1
        elif event.ended_by is EndedBy.CALLER:
            tally.abandoned += 1
            tally.abandoned_within += self._in_time(wait, event.at)
        else:
            tally.failed += 1

    def _leaves(self, contact: str) -> _Wait | None:
        wait = self._waits.pop(contact, None)
        if wait is not None:
            self._kinds[wait.queue, wait.channel].waiting.pop(contact, None)
        return wait

    def _kind(self, wait: _Wait) -> _Kind:
        kind = self._kinds.get((wait.queue, wait.channel))
        if kind is None:
            kind = self._kinds[wait.queue, wait.channel] = _Kind(wait.day)
        elif wait.day > kind.day:
            kind.day, kind.tally = wait.day, Tally()
        return kind

    def _of(self, wait: _Wait) -> Tally:
        """Where it counts: nowhere that is seen, when the day on which it came is over."""
        kind = self._kind(wait)
        return kind.tally if kind.day == wait.day else Tally()

    def _in_time(self, wait: _Wait, at: float) -> bool:
        return self._waited(wait.queue, wait.channel, wait.since, at) <= self._target(wait.queue, wait.channel)

    def _waited(self, queue: str, channel: Channel, since: float, until: float) -> float:
        hours = self._queues[queue].hours
        patient = channel in PATIENT and hours is not None
        return hours.open_seconds(since, until) if patient and hours is not None else until - since

    def _target(self, queue: str, channel: Channel) -> float:
        return self._queues[queue].service_level.get(channel, TARGETS[channel])

    def _day(self, queue: str, at: float) -> date:
        hours = self._queues[queue].hours
        return datetime.fromtimestamp(at, hours.zone if hours is not None else self._zone).date()
