"""Callers who were not served, and who of them was served after all: a fold over events.

A contact is **lost** when a call came in, waited in a queue or was not let into one, and ended without a talk and without a
message.  One person who is lost in a queue again while no agent has talked with them is counted once.  It is
**recovered** when an agent talks with the customer: who was called back, called in again, or was called otherwise.

It counts for the queue it waited in last, on the day of the arrival there.  The customer is known by the callback, by the
session, and by the number.  A call is another matter, and recovers nothing, when it comes later than callbacks of the queue
expire (``expires_seconds``) and no callback is open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date, tzinfo
from typing import Any

from attrs import define, field

from easycall.events import (
    Answered,
    CallbackAsked,
    CallbackEnded,
    ContactArrived,
    ContactEnded,
    Event,
    Queued,
    QueueOverflowed,
    VoicemailLeft,
)
from easycall.model import CallbackState, Direction, EndedBy, Outcome, Queue
from easycall.policy import AT_DESK, Channel
from easycall.stats.days import KEPT_DAYS, Days
from easycall.stats.losses import RECOVERED, Fate, Loss, LostDay

__all__ = ["LostContacts"]

MOST = 200_000
"""Lost contacts, live calls and open callbacks that are kept apart; the oldest is forgotten then."""

_LOSSES: Mapping[Outcome, Loss] = {
    Outcome.ABANDONED: Loss.ABANDONED,
    Outcome.CLOSED: Loss.CLOSED,
    Outcome.FULL: Loss.FULL,
    Outcome.OVERFLOWED: Loss.OVERFLOWED,
    Outcome.CALLBACK: Loss.CALLBACK,
    Outcome.FAILED: Loss.FAILED,
}
_FATES: Mapping[CallbackState, Fate] = {
    CallbackState.REACHED: Fate.CALLED_BACK,
    CallbackState.MET: Fate.MET,
    CallbackState.CANCELLED: Fate.CANCELLED,
    CallbackState.EXPIRED: Fate.EXPIRED,
    CallbackState.EXHAUSTED: Fate.EXHAUSTED,
    CallbackState.REFUSED: Fate.REFUSED,
}


@define(eq=False)
class _Matter:
    """A customer who was lost in a queue."""

    queue: str
    day: date
    loss: Loss
    at: float
    """When."""
    numbers: set[str]
    """By which the customer is known."""
    fate: Fate = Fate.UNATTENDED
    callback: str = ""
    """The open one."""


@define
class _Open:
    """An open callback."""

    queue: str
    number: str
    matter: _Matter | None = None
    """Whose it is; None: of nobody who was lost."""


@define(eq=False)
class _Call:
    """A live one."""

    number: str
    """The customer's; empty: withheld."""
    inbound: bool
    callback: str = ""
    """The callback that it is an attempt of."""
    matter: _Matter | None = None
    """What it is known to be about."""
    queues: list[str] = field(factory=list)
    """In which it waited, or which did not let it in."""
    since: float = 0.0
    """Since when it counts as waiting in the last of them."""
    joined: float = 0.0
    """When it came there."""
    asked: str = ""
    """The callback that was asked for in it."""
    talked: bool = False
    message: bool = False
    """The caller left one."""

    def joins(self, event: Queued | QueueOverflowed) -> None:
        """It waits in a queue, or is not let into it."""
        if not self.queues or self.queues[-1] != event.queue:
            self.queues.append(event.queue)
            self.joined = event.at
            self.since = (event.since if isinstance(event, Queued) else 0.0) or event.at


class LostContacts:
    """Of all queues; part of :class:`easycall.stats.recovery.Recovery`."""

    kinds = (
        *(ContactArrived, Queued, QueueOverflowed, VoicemailLeft, Answered, ContactEnded),
        *(CallbackAsked, CallbackEnded),
    )

    def __init__(self, queues: Mapping[str, Queue], zone: tzinfo | None, number_of: Callable[[str], str]) -> None:
        """``number_of``: the number a customer is known by, of one as shown; empty: withheld.  Else see :class:`Days`."""
        self._queues = queues
        self._number_of = number_of
        self.days = Days(queues, zone, LostDay)
        self._calls: dict[str, _Call] = {}
        self._matters: dict[str, _Matter] = {}
        """By contact."""
        self._known: dict[tuple[str, str], _Matter] = {}
        """By queue and number: the latest."""
        self._callbacks: dict[str, _Open] = {}
        self._called: dict[tuple[str, str], str] = {}
        """Queue and number -> its open callback."""

    def take(self, event: Event) -> None:
        """One more event."""
        match event:
            case ContactArrived():
                self._arrives(event)
            case Queued() | QueueOverflowed():
                if (call := self._calls.get(event.contact)) is not None and self.days.knows(event.queue):
                    call.joins(event)
            case VoicemailLeft():
                if (call := self._calls.get(event.contact)) is not None:
                    call.message = True
            case Answered():
                self._talks(event)
            case ContactEnded():
                self._ends(event)
            case CallbackAsked():
                self._asked(event)
            case CallbackEnded():
                self._callback_ends(event)

    # Calls

    def _arrives(self, event: ContactArrived) -> None:
        if event.channel in AT_DESK or event.contact in self._calls:
            return
        inbound = event.direction is Direction.INBOUND and event.channel is Channel.CALL
        number = self._number_of(event.caller if inbound else event.dialled)
        _make_room(self._calls)
        self._calls[event.contact] = _Call(number, inbound, event.callback, self._matters.get(event.session))

    def _talks(self, event: Answered) -> None:
        call = self._calls.get(event.contact)
        if call is None or call.talked:
            return
        call.talked = True
        fate = Fate.CALLED_BACK if call.callback else Fate.CALLED_IN if call.inbound else Fate.MET
        queues = dict.fromkeys([*call.queues, event.queue])
        found = [call.matter, *(self._of_number(queue, call.number, event.at) for queue in queues)]
        if call.callback in self._callbacks:
            found.append(self._callbacks[call.callback].matter)
        for matter in found:
            if matter is not None:
                self._becomes(matter, fate, event.at)

    def _ends(self, event: ContactEnded) -> None:
        call = self._calls.pop(event.contact, None)
        if call is None:
            return
        matter = call.matter
        if matter is not None and matter.fate is Fate.OPEN and not matter.callback:
            self._becomes(matter, Fate.UNATTENDED, event.at)
        loss = self._loss(call, event)
        if loss is not None:
            self._is_lost(call, event, loss)

    def _loss(self, call: _Call, event: ContactEnded) -> Loss | None:
        if not call.inbound or not call.queues or call.talked or call.message:
            return None
        loss = _LOSSES.get(event.outcome)
        if loss is not Loss.ABANDONED:
            return loss
        if event.ended_by in (EndedBy.API, EndedBy.AGENT):
            return None  # one of ours hung up, and meant it
        if event.ended_by is EndedBy.SYSTEM:
            return Loss.FAILED
        short = event.at - call.joined < self._queues[call.queues[-1]].callback.min_wait_seconds
        return Loss.SHORT_ABANDONED if short else Loss.ABANDONED

    def _is_lost(self, call: _Call, event: ContactEnded, loss: Loss) -> None:
        queue = call.queues[-1]
        day, matter = self.days.day(queue, call.since), call.matter
        if matter is None or matter.queue != queue:
            matter = self._of_number(queue, call.number, event.at)
        if matter is not None and matter.fate not in RECOVERED:
            self.days.of(queue, day).again += 1
            if matter.loss is Loss.SHORT_ABANDONED:
                self._becomes(matter, matter.fate, event.at, loss)
        else:
            matter = _Matter(queue, day, loss, event.at, {call.number} - {""})
            self.days.of(queue, day).counts[loss, matter.fate] += 1
        self._keep(event.contact, matter)
        callback = call.asked if call.asked in self._callbacks else self._called.get((queue, call.number), "")
        if callback and not matter.callback:
            self._has_callback(matter, callback, event.at)

    # Callbacks

    def _asked(self, event: CallbackAsked) -> None:
        call, number = self._calls.get(event.contact), self._number_of(event.number)
        _make_room(self._callbacks)
        self._callbacks[event.callback] = _Open(event.queue, number)
        if number:
            _make_room(self._called)
            self._called[event.queue, number] = event.callback
        if call is not None:
            call.asked = event.callback
        matter = self._matters.get(event.contact) or self._of_number(event.queue, number, event.at)
        if matter is not None and matter.fate not in RECOVERED:
            matter.numbers |= {number} - {""}
            self._keep(event.contact, matter)
            self._has_callback(matter, event.callback, event.at)

    def _has_callback(self, matter: _Matter, callback: str, at: float) -> None:
        matter.callback, self._callbacks[callback].matter = callback, matter
        self._becomes(matter, Fate.OPEN, at)

    def _callback_ends(self, event: CallbackEnded) -> None:
        one = self._callbacks.pop(event.callback, None)
        if one is None:
            return
        if self._called.get((one.queue, one.number)) == event.callback:
            del self._called[one.queue, one.number]
        if one.matter is not None:
            one.matter.callback = ""
            self._is_settled(one.matter, event)

    def _is_settled(self, matter: _Matter, event: CallbackEnded) -> None:
        """Its callback is over."""
        call = next(self._callers(event, matter), None)
        if event.state is not CallbackState.CALLED_IN:
            self._becomes(matter, _FATES[event.state], event.at)
        elif call is None:
            self._becomes(matter, Fate.UNATTENDED, event.at)
        elif call.talked:
            self._becomes(matter, Fate.CALLED_IN, event.at)
        else:  # it is open until the customer has talked, or is gone
            call.matter = matter

    def _callers(self, event: CallbackEnded, matter: _Matter) -> Iterator[_Call]:
        """The live calls in which the customer may have called in."""
        first = self._calls.get(event.contact)
        for call in (first, *self._calls.values()):
            if call is not None and call.inbound and (call is first or call.number in matter.numbers):
                yield call

    # Matters

    def _becomes(self, matter: _Matter, fate: Fate, at: float, loss: Loss | None = None) -> None:
        """It has this fate from now, and counts as this loss; who was recovered stays so."""
        if matter.fate in RECOVERED:
            return
        day = self.days.of(matter.queue, matter.day)
        day.counts[matter.loss, matter.fate] -= 1
        matter.fate, matter.loss = fate, loss or matter.loss
        day.counts[matter.loss, matter.fate] += 1
        if fate is Fate.CALLED_BACK:
            day.seconds += max(0.0, at - matter.at)

    def _of_number(self, queue: str, number: str, at: float) -> _Matter | None:
        """The latest of a number that is not too long ago, and of an open callback in any case."""
        matter = self._known.get((queue, number)) if number else None
        if matter is None or matter.callback:
            return matter
        return matter if at <= matter.at + self._queues[queue].callback.expires_seconds else None

    def _keep(self, contact: str, matter: _Matter) -> None:
        """Find it by this contact, and by its numbers; forget what is too long ago."""
        if contact:
            self._matters[contact] = matter
        for number in matter.numbers:
            self._known[matter.queue, number] = matter
        while self._matters:
            oldest = next(iter(self._matters))
            old = self._matters[oldest]
            if old.at >= matter.at - KEPT_DAYS * 86_400.0 and len(self._matters) <= MOST:
                break
            del self._matters[oldest]
            for key in [(old.queue, number) for number in old.numbers]:
                if self._known.get(key) is old:
                    del self._known[key]


def _make_room(kept: dict[Any, Any]) -> None:
    if len(kept) >= MOST:
        del kept[next(iter(kept))]
