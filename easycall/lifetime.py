"""How long a contact may last: nobody is forgotten on a line, and nobody pays for one on which nobody is any more.

Who talks is told some time before the end.  Asterisk is told of it too (:meth:`easycall.ports.Switch.limit`): the call ends
a little later even when we do not live to end it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from twisted.internet.interfaces import IDelayedCall

from easycall.events import CallCut, CallEnding
from easycall.live import LiveContact
from easycall.model import Lifetime

__all__ = ["BELT_SECONDS", "limited_life"]

BELT_SECONDS = 60.0
"""How much later than we Asterisk ends a call."""


@contextmanager
def limited_life(live: LiveContact, lifetime: Lifetime, end: Callable[[], None], since: float) -> Iterator[None]:
    """Call ``end`` when the contact has lasted as long as it may, ``since`` then, unless the ``with`` is left before."""
    contact, left = live.contact, min(lifetime.notice_seconds, lifetime.longest_seconds)

    def near() -> None:
        live.tell(CallEnding, contact.agent, seconds=left)

    def over() -> None:
        live.tell(CallCut, contact.agent, leg=contact.leg, number=contact.customer, seconds=lifetime.longest_seconds)
        end()

    due = since + lifetime.longest_seconds - live.now()
    timers: list[IDelayedCall] = [
        live.clock.callLater(max(0.0, due - left), near),
        live.clock.callLater(max(0.0, due), over),
    ]
    try:
        yield
    finally:
        for timer in timers:
            if timer.active():
                timer.cancel()
