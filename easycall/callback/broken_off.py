"""What the process before us was about to do about callbacks in its last moments, and did not do any more.

Between what happens, what is stored and what is told there are moments, and a process may die in any.  Who was lost then and
has no callback gets one; what was stored and not told is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from attrs import evolve, field, frozen

from easycall.callback.around import StoredEvents
from easycall.callback.sources import Lost, Sources
from easycall.events import (
    Answered,
    CallbackAsked,
    CallbackChanged,
    CallbackEnded,
    CallbackSettled,
    CallDialled,
    ContactArrived,
    ContactEnded,
    Event,
    Queued,
    QueueOverflowed,
    VoicemailLeft,
)
from easycall.model import Callback

__all__ = ["BrokenOff", "Terms", "broken_off", "in_the_end"]

KINDS = (
    ContactArrived,
    Queued,
    QueueOverflowed,
    CallDialled,
    Answered,
    VoicemailLeft,
    ContactEnded,
    CallbackAsked,
    CallbackChanged,
    CallbackSettled,
    CallbackEnded,
)
LOOKED_AT = 20_000
"""So many numbers of the journal are looked at: the stories of those who ended last are in them."""
BEHIND = 2_000
"""So many numbers of this process's own are looked at beside: an event may be told later than it happened."""
BLOCK = 1_000
"""So many are asked for at once."""
LAST_SECONDS = 60.0
"""Before the last that was told: what was not done by then was not about to be done."""


@frozen
class Terms:
    """When and by whom somebody is to be called back, as it was told last."""

    queue: str
    agent: str
    due: float
    expires: float
    priority: float | None = None
    """None: it was never told."""

    def holds(self, callback: Callback) -> bool:
        """Whether that is still so."""
        told = self.queue, self.agent, self.due, self.expires
        same = told == (callback.queue, callback.agent, callback.due, callback.expires)
        return same and self.priority in (None, callback.priority_seconds)


@frozen
class BrokenOff:
    """See the module."""

    since: float = 0.0
    """When its last moments began."""
    lost: tuple[Lost, ...] = ()
    """Of whom no callback was told that they led to."""
    asked: Mapping[str, Terms] = field(factory=dict)
    """The callbacks of which it was told that they were asked for, of all that was looked at, and on what terms."""
    ended: Mapping[str, CallbackEnded] = field(factory=dict)
    """How each of which that was told ended."""


async def broken_off(past: StoredEvents, upto: int, began: float, number_of: Callable[[str], str]) -> BrokenOff:
    """``upto``: the number of the latest event; ``began``: when this process did.  Raises StoreUnavailable."""
    events: list[Event] = []
    # The numbers of this process may be far above those of the one before: it leaves some out when the database is away.
    here = min(upto, await past.place(began) + BEHIND)
    for after in range(max(0, here - LOOKED_AT), here, BLOCK):
        events += [event for _, event in await past.events(after, min(here, after + BLOCK), KINDS)]
    return in_the_end((event for event in events if event.at <= began), number_of)


def in_the_end(events: Iterable[Event], number_of: Callable[[str], str] = str) -> BrokenOff:
    """What is told by the events of a process that has died."""
    sources, lost, last = Sources(number_of), dict[str, tuple[float, Lost]](), 0.0
    asked, ended = dict[str, Terms](), dict[str, CallbackEnded]()
    for event in events:
        last = max(last, event.at)
        number = sources.number_of(event.contact)
        found = sources.take(event)
        if found is not None:
            lost[found.contact] = event.at, found
        match event:
            case CallbackAsked():
                asked[event.callback] = Terms(event.queue, event.agent, event.due, event.expires)
                lost.pop(event.contact, None)
            case CallbackChanged() if event.callback in asked:
                asked[event.callback] = Terms(event.queue, event.agent, event.due, event.expires, event.priority)
            case CallbackSettled() if event.callback in asked:
                asked[event.callback] = evolve(asked[event.callback], due=event.due)
            case CallbackEnded():
                ended[event.callback] = event
            case Answered():  # who called in again and was served is not called back
                lost = {one: (at, of) for one, (at, of) in lost.items() if (of.queue, of.number) != (event.queue, number)}
    since = last - LAST_SECONDS
    return BrokenOff(since, tuple(one for at, one in lost.values() if at >= since), asked, ended)
