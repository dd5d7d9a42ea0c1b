"""A supervisor who listens takes the contact over: the customer moves from one leg to the other in one action."""

from __future__ import annotations

from typing import TYPE_CHECKING

from easycall.defer import dropped
from easycall.events import Answered, Transferred
from easycall.model import EndedBy, OfferOutcome, Role
from easycall.ports import BridgeFailed, Conversation, HungUp, Taken
from easycall.talk.ringing import Side
from easycall.verbs import NotNow, TakeOver

if TYPE_CHECKING:
    from easycall.talk.talk import StageOfTalk, Talk

__all__ = ["take_over"]


async def take_over(talk: Talk, verb: TakeOver) -> StageOfTalk:
    """The stage that follows.  Raises NotNow when the supervisor cannot have the customer: the agent keeps the customer."""
    live, first = talk.live, talk.side
    listener = live.audience.listener(verb.supervision)
    agent, leg = listener.surrender()
    live.contact.attempts += 1
    assignment = live.staff.takes_over(agent, live.contact.id, live.contact.attempts)
    second = Side(assignment, leg, live)
    try:
        conversation = await _join(talk, second)
    except BaseException:
        listener.ended("failed")
        second.leave(OfferOutcome.LOST)
        raise
    listener.ended("taken_over")
    second.joined()
    # The second agent's talk is told before the end of the first one's: there is no moment without an agent.
    live.tell(Answered, agent, queue=talk.queue.id, waited=live.now() - talk.since, leg=leg.id)
    live.tell(Transferred, first.agent, target="agent", to=agent)
    talk.part(EndedBy.AGENT)
    talk.side, talk.conversation, talk.handed_over = second, conversation, live.now()
    live.contact.agent = agent
    return talk.talking


async def _join(talk: Talk, second: Side) -> Conversation:
    live, leg = talk.live, second.leg
    try:
        await live.switch.fetch(leg)
        await leg.remember({"EC_CONTACT": live.contact.id, "EC_ROLE": Role.AGENT.value, "EC_AG": second.agent})
        return await live.switch.bridge(live.customer, leg)
    except (BridgeFailed, HungUp, Taken):
        over = talk.over()
        if live.customer.gone or over.called:
            dropped(over)
            raise BridgeFailed("the customer was parted from the agent, and is with nobody") from None
        dropped(over)
        raise NotNow("the supervisor's phone could not be joined with the customer") from None
