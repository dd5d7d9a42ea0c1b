"""Today's board: who waits and talks, and how many were answered in time, of each queue and each kind of work.

A fold over events.

A day is that of the arrival in the queue, in the time zone of the queue's opening hours, or else of this machine.  After a
restart the figures go on where they were (:mod:`easycall.stats.history`).  The clock of those who wait for somebody (a call,
a chat) runs all the time; that of what waits to be worked through (a message, voice mail, fax) stands still while the queue
is closed.  That of a callback runs from when it goes into the line, however old the place is that its caller kept: it was
no wait on the line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, tzinfo
from typing import ClassVar

from attrs import define, evolve, field, frozen

from easycall.events import (
    Answered,
    CallAnswered,
    ContactArrived,
    ContactEnded,
    Event,
    Queued,
    QueueLeft,
    QueueOverflowed,
    TalkEnded,
)
from easycall.model import EndedBy, Outcome, Queue
from easycall.policy import PATIENT, Channel
from easycall.stats.days import zone_of

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

CALLED = frozenset({Channel.CALLBACK, Channel.CALL_ME})
"""Kinds whose customers are not on the line when they begin to wait."""

LONGEST_TALK = 7200.0
"""So long before the longest wait before midnight a contact may have come that is still there, in seconds."""


@define
class Tally:
    """What became of those who came today: ``queued`` is the sum of all others and of those who still wait.

    Those with ``_within`` are parts of others.  Of a callback each attempt counts.
    """

    queued: int = 0
    answered: int = 0
    answered_within: int = 0
    """Of these, within the target."""
    abandoned: int = 0
    """The customer left."""
    abandoned_within: int = 0
    flowed_out: int = 0
    """By a rule of the queue, by a key, or to another queue."""
    converted: int = 0
    """The caller asked to be called back (``callback_converted``): the callback counts by itself, as one more that came."""
    converted_within: int = 0
    unreached: int = 0
    """The customer was to be called and did not answer, or is not called any more: nobody was on the line."""
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
    talking: int
    """How many are with an agent of the queue now, holds, consultations and conferences included."""

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
    left: float = 0.0
    """When the caller went back to the flow by a key, and the place is kept; 0: it waits."""


@define
class _Kind:
    """One kind of work in a queue."""

    day: date
    tally: Tally = field(factory=Tally)
    waiting: dict[str, float] = field(factory=dict)
    """Contact -> since when it waits."""
    talking: dict[str, str] = field(factory=dict)
    """Contact -> the agent who has it."""


class ServiceLevels:
    """Of all queues.  A :class:`easycall.stats.history.Figure`."""

    name: ClassVar[str] = "service_level"
    kinds: ClassVar[Sequence[type[Event]]] = (
        ContactArrived,
        Queued,
        QueueLeft,
        QueueOverflowed,
        CallAnswered,
        Answered,
        TalkEnded,
        ContactEnded,
    )

    def __init__(self, queues: Mapping[str, Queue], zone: tzinfo | None = None) -> None:
        """``queues``: as they are at any time; ``zone``: of queues without opening hours, None: this machine's."""
        self._queues = queues
        self._zone = zone
        self._waits: dict[str, _Wait] = {}
        self._kinds: dict[tuple[str, Channel], _Kind] = {}
        self._channels: dict[str, Channel] = {}
        """Live contact -> what it is."""
        self._talks: dict[str, _Kind] = {}
        """Contact -> where it talks."""
        self._to_call: set[str] = set()
        """Contacts that wait, and whose customers are to be called and have not answered."""

    def since(self, now: float) -> float:
        """From which moment on events count today, or are of contacts that may be there still."""
        zones = {zone_of(queue, self._zone) for queue in self._queues.values()}
        midnights = [_midnight(now, zone) for zone in zones or {self._zone}]
        longest = max((queue.max_wait_seconds for queue in self._queues.values()), default=0.0)
        return min(midnights) - longest - LONGEST_TALK

    def anew(self) -> ServiceLevels:
        """An empty one of the same queues."""
        return ServiceLevels(self._queues, self._zone)

    def become(self, other: ServiceLevels) -> None:
        """Be what the other one is, which is not used any more."""
        self._waits, self._kinds, self._channels, self._talks = other._waits, other._kinds, other._channels, other._talks
        self._to_call = other._to_call

    def of_queue(self, queue: str, now: float) -> Mapping[Channel, Level]:
        """Each kind of work that came today or waits, and calls in any case.  Raises KeyError."""
        today, found = self._day(queue, now), {}
        for channel in Channel:
            kind = self._kinds.get((queue, channel))
            tally = kind.tally if kind is not None and kind.day == today else Tally()
            waiting, talking = (kind.waiting, len(kind.talking)) if kind is not None else ({}, 0)
            if tally.queued or waiting or talking or channel is Channel.CALL:
                target = self._target(queue, channel)
                late = sum(self._waited(queue, channel, since, now) > target for since in waiting.values())
                found[channel] = Level(target, tally, len(waiting), late, talking)
        return found

    def take(self, sequence: int, event: Event) -> None:
        """A listener of the journal."""
        match event:
            case ContactArrived():
                self._channels[event.contact] = event.channel
                if event.channel in CALLED and event.contact not in self._waits:
                    self._to_call.add(event.contact)
            case Queued() if event.queue in self._queues:
                self._channels[event.contact] = event.channel
                self._joins(event)
            case QueueLeft():
                self._steps_aside(event)
            case QueueOverflowed():
                if (wait := self._leaves(event.contact)) is not None:
                    self._of(wait).flowed_out += 1
            case CallAnswered():
                self._to_call.discard(event.contact)
            case Answered():
                if (wait := self._leaves(event.contact)) is not None:
                    tally = self._of(wait)
                    tally.answered += 1
                    tally.answered_within += self._in_time(wait, event.at)
                self._talks_with(event)
            case TalkEnded():
                self._parts(event.contact, event.agent)
            case ContactEnded():
                self._ends(event)
                self._parts(event.contact)
                self._channels.pop(event.contact, None)
                self._to_call.discard(event.contact)

    def _joins(self, event: Queued) -> None:
        before = self._leaves(event.contact)
        since = event.since or event.at
        if event.channel is Channel.CALLBACK:
            since = event.at if before is None else before.since
        wait = _Wait(event.queue, event.channel, since, self._day(event.queue, since))
        if before is not None and (before.queue, before.since) != (wait.queue, wait.since):
            self._of(before).flowed_out += 1
            before = None
        self._waits[event.contact] = wait
        kind = self._kind(wait.queue, wait.channel, wait.day)
        kind.waiting[event.contact] = since
        if before is None:
            self._of(wait).queued += 1

    def _steps_aside(self, event: QueueLeft) -> None:
        wait = self._leaves(event.contact)
        if wait is not None:
            self._waits[event.contact] = evolve(wait, left=event.at)

    def _ends(self, event: ContactEnded) -> None:
        wait = self._leaves(event.contact)
        if wait is None:
            return
        tally = self._of(wait)
        if event.outcome is Outcome.CALLBACK:
            tally.converted += 1
            tally.converted_within += self._in_time(wait, wait.left or event.at)
        elif event.contact in self._to_call:
            tally.unreached += 1
        elif wait.left:
            tally.flowed_out += 1
        elif event.ended_by is EndedBy.CALLER:
            tally.abandoned += 1
            tally.abandoned_within += self._in_time(wait, event.at)
        else:
            tally.failed += 1

    def _talks_with(self, event: Answered) -> None:
        self._parts(event.contact)
        if event.queue in self._queues:
            channel = self._channels.get(event.contact, Channel.CALL)
            kind = self._kinds.setdefault((event.queue, channel), _Kind(self._day(event.queue, event.at)))
            kind.talking[event.contact] = event.agent
            self._talks[event.contact] = kind

    def _parts(self, contact: str, agent: str = "") -> None:
        """A contact has no agent any more; ``agent``: unless it has another one than this."""
        kind = self._talks.get(contact)
        if kind is not None and agent in ("", kind.talking[contact]):
            del kind.talking[contact], self._talks[contact]

    def _leaves(self, contact: str) -> _Wait | None:
        wait = self._waits.pop(contact, None)
        if wait is not None:
            self._kinds[wait.queue, wait.channel].waiting.pop(contact, None)
        return wait

    def _kind(self, queue: str, channel: Channel, day: date) -> _Kind:
        kind = self._kinds.get((queue, channel))
        if kind is None:
            kind = self._kinds[queue, channel] = _Kind(day)
        elif day > kind.day:
            kind.day, kind.tally = day, Tally()
        return kind

    def _of(self, wait: _Wait) -> Tally:
        """Where it counts: nowhere that is seen, when the day on which it came is over."""
        kind = self._kind(wait.queue, wait.channel, wait.day)
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
        return datetime.fromtimestamp(at, zone_of(self._queues[queue], self._zone)).date()


def _midnight(now: float, zone: tzinfo | None) -> float:
    """When the day of this moment began there."""
    return datetime.fromtimestamp(now, zone).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
