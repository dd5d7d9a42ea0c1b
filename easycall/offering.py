"""A contact and its agent: one phone is rung, or several at once, and who answers first is joined with the contact."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from twisted.logger import Logger

from easycall.acd.distributor import Offer
from easycall.acd.staff import Assignment
from easycall.defer import start
from easycall.events import OfferEnded
from easycall.live import LiveContact
from easycall.mailbox import Letter
from easycall.model import OfferOutcome, Queue
from easycall.ports import BridgeFailed, Conversation, HungUp, Taken
from easycall.talk import Side, ring
from easycall.talk.alone import answer_rung

__all__ = ["connect", "ring_agent"]

log = Logger()


def ring_agent(live: LiveContact, assignment: Assignment, queue: Queue, *, since: float, by: str = "") -> Side | None:
    """Ring the agent; None when the phone cannot be rung, and the offer is over."""
    try:
        return ring(live, assignment, queue, since=since, by=by)
    except ValueError as error:
        log.error("agent {agent} cannot be rung: {error}", agent=assignment.agent, error=error)
        _ended(live, assignment, OfferOutcome.UNREACHABLE)
        assignment.ended(OfferOutcome.UNREACHABLE)
        return None


async def connect(live: LiveContact, sides: Sequence[Side], queue: Queue) -> tuple[Side, Conversation] | None:
    """Until the first of these agents answers and is bridged with the customer; None when all of it came to nothing.

    The others are released in the moment of the answer.
    """
    ringing = [*sides]
    outcome = OfferOutcome.CALLER_LEFT
    try:
        side = await _first_to_answer(live, ringing)
        if side is None:
            return None
        try:
            if not live.switch.up:
                with suppress(Taken):
                    await side.leg.music(queue.music)
            await live.recorder.prepare(queue)
            conversation = await live.switch.bridge(live.customer, side.leg)
        except (BridgeFailed, HungUp):
            outcome = OfferOutcome.LOST
            return None
        outcome = OfferOutcome.ANSWERED
        return side, conversation
    finally:
        for side in ringing:
            _ended(live, side.assignment, outcome)
            if outcome is not OfferOutcome.ANSWERED:
                side.leave(outcome)


async def _first_to_answer(live: LiveContact, ringing: list[Side]) -> Side | None:
    """Until one of the phones that ring is answered: that one is left in the list; None when none will be."""
    while ringing:
        news = await live.news(*(start(side.answered()) for side in ringing))
        if isinstance(news, Letter):
            answer_rung(live, ringing, news)
            continue
        side = ringing[news]
        outcome = await side.answered()
        if outcome is OfferOutcome.ANSWERED:
            _is_first(live, ringing, side)
            return side
        ringing.remove(side)
        _names(live, ringing)
        _ended(live, side.assignment, outcome)
        side.leave(outcome)
    return None


def _is_first(live: LiveContact, ringing: list[Side], side: Side) -> None:
    """An agent has answered: no other phone rings on, and who answers it in this moment is hung up."""
    if isinstance(side.assignment, Offer):
        side.assignment.answered()
    others, ringing[:] = [one for one in ringing if one is not side], [side]
    _names(live, ringing)
    for other in others:
        _ended(live, other.assignment, OfferOutcome.ELSEWHERE)
        other.leave(OfferOutcome.ELSEWHERE, by=side.agent)


def _names(live: LiveContact, ringing: Sequence[Side]) -> None:
    """The contact is with those who are rung."""
    if ringing:
        live.contact.agent, *others = (side.agent for side in ringing)
        live.contact.rung = tuple(others)


def _ended(live: LiveContact, offer: Assignment, outcome: OfferOutcome) -> None:
    live.tell(OfferEnded, offer.agent, attempt=offer.attempt, outcome=outcome)
