"""Whom an agent asks: another agent, whoever of a queue is free longest, or somebody outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from easycall.acd.staff import Assignment
from easycall.model import OfferOutcome
from easycall.outbound.dialling import Route
from easycall.outbound.outsider import Outsider, call_outside
from easycall.talk.ringing import Side, ring
from easycall.verbs import Consult, NotNow

if TYPE_CHECKING:
    from easycall.talk.talk import Talk

__all__ = ["call", "give_back", "reserve"]


def reserve(talk: Talk, verb: Consult) -> Assignment | Route:
    """Hold the agent, or a line to the number.  Raises NotNow."""
    contact, live = talk.live.contact, talk.live
    attempt = contact.attempts + 1
    asked: Assignment | Route
    if verb.number:
        by, shown = talk.side.agent, verb.caller_id
        asked = live.dialling.route(verb.number, agent=by, queue=talk.queue, caller_id=shown, pbx=contact.pbx)
    elif verb.queue:
        asked = live.distributor.reserve_one_of(verb.queue, contact.id, attempt, contact.pbx)
    else:
        asked = live.staff.reserve(verb.agent, contact.id, attempt, contact.pbx)
    contact.attempts = attempt
    return asked


def call(talk: Talk, asked: Assignment | Route) -> Side | Outsider:
    """Ring who was reserved.  Raises NotNow when that must not be dialled."""
    live = talk.live
    try:
        if isinstance(asked, Route):
            return call_outside(live, asked, live.contact.attempts, "consult", talk.side.agent)
        return ring(live, asked, talk.queue, since=talk.since, by=talk.side.agent)
    except ValueError as failure:
        raise NotNow(str(failure)) from None


def give_back(asked: Assignment | Route) -> None:
    """It came to nothing before anybody was rung."""
    if isinstance(asked, Route):
        asked.release()
    else:
        asked.ended(OfferOutcome.LOST)
