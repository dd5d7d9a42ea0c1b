"""Callers who are fax machines: by their choice in a flow, or known by their tone."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from easycall.defer import first, start
from easycall.fax.desk import Job
from easycall.live import LiveContact
from easycall.verbs import NotNow

__all__ = ["receive", "unless_fax"]

log = Logger()

T = TypeVar("T")


async def receive(live: LiveContact, box: str) -> bool:
    """Receive a fax of the customer, who is at home, into a box; False when no page came.  Raises HungUp."""
    desk = live.fax
    if desk is None:
        log.error("contact {contact} cannot send a fax: fax.lines is 0", contact=live.contact.id)
        return False
    try:
        line = desk.take_line(live.switch.name)
    except NotNow as why:
        log.warn("contact {contact} cannot send a fax: {why}", contact=live.contact.id, why=str(why))
        return False
    try:
        job = Job(contact=live.contact, record=live.record, now=live.now, box=box)
        return (await desk.carry(job, live.customer)).pages > 0
    finally:
        line.free()


async def unless_fax(live: LiveContact, walk: Callable[[], Coroutine[Deferred[Any], Any, T]]) -> T | None:
    """What comes of walking a flow; None: on a number that takes faxes a machine was heard, which ended it, and sent."""
    box = live.fax.box_of(live.contact.dialled) if live.fax is not None else ""
    if not box:
        return await walk()
    await live.at_home(lambda: live.customer.listen_for_fax(True))
    left: list[T] = []
    walking = start(walk()).addCallback(left.append)
    heard = await first(walking, live.customer.when_fax_tone())
    if heard:
        await receive(live, box)
        return None
    await live.at_home(lambda: live.customer.listen_for_fax(False))
    return left[0]
