"""Callers who broke off while they waited, and may have their place back.  Pure: a fold over events."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from attrs import define, frozen

from easycall.events import ContactArrived, ContactEnded, Event, Queued, QueueResumed
from easycall.model import Direction, EndedBy, Outcome, Queue
from easycall.policy import Channel

__all__ = ["Abandoned", "Redials"]

LONGEST_CALL = 6 * 3600.0
"""So many seconds before it was abandoned a call may have come that is known again after a restart."""


@frozen
class Abandoned:
    """A place in line that its caller gave up."""

    contact: str
    enqueued: float
    """Since when it counted as waiting."""
    at: float
    """When it was given up."""


@define
class _Call:
    """A live one."""

    number: str
    queue: str = ""
    """Where it waited last."""
    enqueued: float = 0.0


class Redials:
    """The latest of each number and queue, the oldest first.  A :class:`easycall.stats.history.Figure`."""

    name: ClassVar[str] = "redials"
    kinds: ClassVar[Sequence[type[Event]]] = (ContactArrived, Queued, QueueResumed, ContactEnded)

    def __init__(
        self, number_of: Callable[[str], str] = str, queues: Mapping[str, Queue] | None = None, most: int = 10_000
    ) -> None:
        """``number_of``: the number a caller is known by, of one as shown; empty: withheld, and nobody's.

        ``queues``: as they are at any time; a place is kept of those with ``redial_seconds``.
        """
        self._number_of = number_of
        self._queues: Mapping[str, Queue] = {} if queues is None else queues
        self._most = most
        self._calls: dict[str, _Call] = {}
        self._given_up: OrderedDict[tuple[str, str], Abandoned] = OrderedDict()

    def __len__(self) -> int:
        return len(self._given_up)

    def resume(self, number: str, queue: str, now: float) -> Abandoned | None:
        """The place that a caller with this number gave up in the queue not longer ago than the queue allows.

        It is given once: whoever takes it tells :class:`~easycall.events.QueueResumed`.
        """
        place = self._given_up.get((number, queue))
        return place if place is not None and now < place.at + self._queues[queue].redial_seconds else None

    # A figure

    def since(self, now: float) -> float:
        """From which moment on events make a difference to what may be resumed now."""
        longest = max((queue.redial_seconds for queue in self._queues.values()), default=0.0)
        return now - longest - LONGEST_CALL if longest else now

    def anew(self) -> Redials:
        """An empty one of the same queues."""
        return Redials(self._number_of, self._queues, self._most)

    def become(self, other: Redials) -> None:
        """Be what the other one is, which is not used any more."""
        self._calls, self._given_up = other._calls, other._given_up

    def take(self, sequence: int, event: Event) -> None:
        """A listener of the journal."""
        match event:
            case ContactArrived(direction=Direction.INBOUND, channel=Channel.CALL):
                if number := self._number_of(event.caller):
                    self._calls[event.contact] = _Call(number)
            case Queued():
                if (call := self._calls.get(event.contact)) is not None:
                    call.queue, call.enqueued = event.queue, event.since or event.at
            case QueueResumed():
                for key in [key for key, place in self._given_up.items() if place.contact == event.of]:
                    del self._given_up[key]
            case ContactEnded():
                self._ends(event)

    def _ends(self, event: ContactEnded) -> None:
        """If its caller or the network ended a call that waited, the caller may come back."""
        call = self._calls.pop(event.contact, None)
        if call is None or not call.queue or event.outcome is not Outcome.ABANDONED:
            return
        queue = self._queues.get(call.queue)
        gone = event.ended_by in (EndedBy.CALLER, EndedBy.SYSTEM, EndedBy.NETWORK)
        if gone and queue is not None and queue.redial_seconds:
            self._given_up.pop((call.number, call.queue), None)
            self._given_up[call.number, call.queue] = Abandoned(event.contact, call.enqueued, event.at)
            if len(self._given_up) > self._most:
                self._given_up.popitem(last=False)
