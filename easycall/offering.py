"""A contact and one agent: the agent's phone is rung, and the two are joined when it is answered."""

from __future__ import annotations

from contextlib import suppress

from twisted.logger import Logger

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


async def connect(live: LiveContact, side: Side, queue: Queue) -> Conversation | None:
    """Until the agent answers and both are bridged; None when the offer came to nothing."""
    outcome = OfferOutcome.CALLER_LEFT
    try:
        outcome = await _answered(live, side)
        if outcome is not OfferOutcome.ANSWERED:
            return None
        outcome = OfferOutcome.CALLER_LEFT
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
        return conversation
    finally:
        _ended(live, side.assignment, outcome)
        if outcome is not OfferOutcome.ANSWERED:
            side.leave(outcome)


async def _answered(live: LiveContact, side: Side) -> OfferOutcome:
    """Until the phone that rings is answered, or will not be."""
    while isinstance(news := await live.news(start(side.answered())), Letter):
        answer_rung(live, side, news)
    return await side.answered()


def _ended(live: LiveContact, offer: Assignment, outcome: OfferOutcome) -> None:
    live.tell(OfferEnded, offer.agent, attempt=offer.attempt, outcome=outcome)
