"""A caller asks, in a flow, to be called back."""

from __future__ import annotations

from twisted.logger import Logger

from easycall.callback.desk import CallbackDesk
from easycall.callback.wish import Wish
from easycall.defer import limited, start
from easycall.live import LiveContact
from easycall.model import CallbackSource
from easycall.outbound.rules import NotDialled, normalised
from easycall.ports import StoreUnavailable
from easycall.verbs import NotNow

__all__ = ["promise_callback"]

log = Logger()

PROMISE_SECONDS = 5.0
"""So long the caller waits for the promise to be stored, at most."""


async def promise_callback(live: LiveContact, desk: CallbackDesk, queue: str, number: str, kept: float | None) -> bool:
    """Whether the caller will be called back.

    ``number``: as keyed, empty: the one that calls; ``kept``: since when the place counts that the caller had in line.
    """
    contact, rules = live.contact, live.distributor.queues[queue].callback
    own = contact.customer
    if not (number or own):
        log.info("contact {id} withholds its number and is not called back", id=contact.id)
        return False
    if number and not rules.other_numbers and not _same(live, number, own):
        log.info("contact {id} asks to be called at another number: {queue} does not do that", id=contact.id, queue=queue)
        return False
    wish = Wish(
        queue,
        number or own,
        CallbackSource.ASKED,
        since=kept or 0.0,
        name=contact.caller_name,
        skills=contact.skills.text if contact.queue == queue else "",
        priority_seconds=contact.priority,
        waited=contact.waited + (live.now() - kept if kept is not None else 0.0),
        answers=dict(contact.answers),
        data=dict(contact.data),
        session=contact.session or contact.id,
        contact=contact.id,
    )
    try:
        await limited(start(desk.ask(wish)), PROMISE_SECONDS, live.clock)
    except (NotDialled, NotNow, StoreUnavailable, TimeoutError) as why:
        log.warn("contact {id} is not called back: {why}", id=contact.id, why=str(why))
        return False
    return True


def _same(live: LiveContact, number: str, own: str) -> bool:
    """Whether two numbers as typed are one."""
    settings = live.dialling.rules.settings
    try:
        return normalised(number, settings) == normalised(own, settings)
    except NotDialled:
        return False
