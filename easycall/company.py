"""Company for a caller who waits: the busy prompt now and then, music between."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from easycall.acd.distributor import Place
from easycall.model import Queue
from easycall.ports import Channel, HungUp, Taken

__all__ = ["keep_company"]

HOLD_TURN_SECONDS = 20.0
"""How long one wait for a key lasts under music; a dead daemon is noticed by Asterisk at once in any case."""

SHORT_TURN_SECONDS = 1.0
"""The same while a busy prompt is due that waits for what becomes of an offer."""


async def keep_company(channel: Channel, queue: Queue, busy: Sequence[str], place: Place, now: Callable[[], float]) -> None:
    """Until cancelled: play ``busy`` while nobody is free for the contact at ``place``, and the queue's music between.

    A connection does not wait for it: bridging takes the leg out of whatever it hears, and it goes on when the leg is home
    again.  It ends when the leg is gone.
    """
    due = now() if busy else math.inf
    while True:
        try:
            await channel.home()
            if now() >= due and not place.reserved:
                await channel.music(None)
                await channel.play(busy)
                due = now() + (queue.busy_repeat_seconds or math.inf)
            await channel.music(queue.music)
            while now() < due or place.reserved:
                await channel.wait_key(min(max(due - now(), SHORT_TURN_SECONDS), HOLD_TURN_SECONDS))
        except Taken:
            continue
        except HungUp:
            return
