"""The customer and people outside, without an agent: held by the daemon until two are left and one of them leaves."""

from __future__ import annotations

import math
from contextlib import suppress

from twisted.logger import Logger

from easycall.defer import background, limited
from easycall.events import OutsideEnded, OutsideStarted
from easycall.live import LiveContact, keep_music
from easycall.model import EndedBy, OfferOutcome, Stage
from easycall.outbound.outsider import Outsider, call_outside
from easycall.ports import BridgeFailed, HungUp
from easycall.talk.alone import answer_letters
from easycall.talk.course import Course, Outside, OutsideConference, ReachOutside, RungOutside, Wait

__all__ = ["reach_outside", "rung_outside", "several_together", "together"]

log = Logger()

NEWS_SECONDS = 0.5
"""How long the news that a leg has ended may come behind that of its leaving a conference."""

LOST_SECONDS = 2.0
"""One outside whose leg ends so soon after the joining was lost in it, and did not hang up on the customer."""


async def reach_outside(live: LiveContact, course: ReachOutside) -> Course:
    """Somebody outside is dialled, the customer hears music; if that comes to nothing, the contact is first in line."""
    contact, route = live.contact, course.route
    queue = live.distributor.queues[course.queue]
    contact.agent, contact.queue = "", queue.id
    live.at(Stage.DIALLING)
    if not live.switch.up:
        await _until_up(live, course)
    contact.attempts += 1
    try:
        outsider = call_outside(live, route, contact.attempts, "transfer", course.by)
    except ValueError as error:
        log.error("{number} cannot be dialled: {error}", number=route.number, error=error)
        route.release()
        return _first_in_line(live, queue.id)
    return await rung_outside(live, RungOutside(outsider, queue.id))


async def rung_outside(live: LiveContact, course: RungOutside) -> Course:
    """Until the one outside answers, or will not."""
    outsider, queue = course.outsider, live.distributor.queues[course.queue]
    live.contact.agent = ""
    live.at(Stage.DIALLING)
    try:
        async with background(keep_music(live.customer, queue.music)):
            async with background(answer_letters(live)):
                outcome = await outsider.answered()
            if outcome is not OfferOutcome.ANSWERED:
                return _first_in_line(live, queue.id)
            conversation = await live.switch.bridge(live.customer, outsider.leg)
        return await together(live, Outside(outsider, conversation, queue.id))
    except (BridgeFailed, HungUp):
        return _first_in_line(live, queue.id)
    finally:
        outsider.leave(OfferOutcome.CALLER_LEFT)


async def _until_up(live: LiveContact, course: ReachOutside) -> None:
    """The customer may have come home without the link; what is dialled without it is lost: wait for it."""
    try:
        async with background(keep_music(live.customer, live.distributor.queues[course.queue].music)):
            await live.switch.when_up()
    except BaseException:
        course.route.line.release()
        raise


async def together(live: LiveContact, course: Outside) -> Course:
    """The two talk until one leaves."""
    contact, outsider = live.contact, course.outsider
    contact.agent, contact.consulted = "", ""
    live.at(Stage.OUTSIDE)
    if not course.told:
        live.tell(OutsideStarted, number=outsider.number)
    since, ended_by = -math.inf if course.told else live.now(), EndedBy.CALLER
    outsider.joined()
    try:
        async with background(answer_letters(live)):
            left = await course.conversation.over()
        if left is outsider.leg:
            ended_by = EndedBy.SYSTEM if outsider.leg.doomed else EndedBy.OUTSIDE
            if live.now() < since + LOST_SECONDS:
                return _first_in_line(live, course.queue)
        elif live.customer.died_of:
            ended_by = EndedBy.SYSTEM
        contact.ended_by = contact.ended_by or ended_by
        return None
    finally:
        _leaves(live, outsider, contact.ended_by or ended_by)


async def several_together(live: LiveContact, course: OutsideConference) -> Course:
    """The customer and several outside talk until one of these is left."""
    contact, outsiders, room = live.contact, list(course.outsiders), course.room
    contact.agent = ""
    live.at(Stage.OUTSIDE)
    for one in outsiders if not course.told else ():
        live.tell(OutsideStarted, number=one.number)
    try:
        async with background(answer_letters(live)):
            while len(outsiders) > 1:
                left = await room.over()
                gone = next((one for one in outsiders if one.leg is left), None)
                if gone is None:  # the customer, whose end cancels this
                    with suppress(TimeoutError):
                        await limited(live.customer.when_gone(), NEWS_SECONDS, live.clock)
                    return _first_in_line(live, course.queue)
                outsiders.remove(gone)
                _leaves(live, gone, EndedBy.OUTSIDE)
                room = room.without(left)
            await live.switch.fetch(live.customer, outsiders[0].leg)
            conversation = await live.switch.bridge(live.customer, outsiders[0].leg)
        return Outside(outsiders.pop(), conversation, course.queue)
    except (BridgeFailed, HungUp):
        with suppress(BridgeFailed, HungUp):
            await live.switch.fetch(live.customer)
        return _first_in_line(live, course.queue)
    finally:
        for one in outsiders:
            _leaves(live, one, contact.ended_by or EndedBy.CALLER)


def _leaves(live: LiveContact, outsider: Outsider, ended_by: EndedBy) -> None:
    live.tell(OutsideEnded, number=outsider.number, ended_by=ended_by)
    outsider.leave(OfferOutcome.CALLER_LEFT)


def _first_in_line(live: LiveContact, queue: str) -> Wait:
    return Wait(queue, live.distributor.front(queue, live.contact.priority))
