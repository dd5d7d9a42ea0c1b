"""What a contact was doing when the process that carried it ended: a fold over its events.  Pure.

The events tell *why, since when and in which order*; that a leg is there, and who is in a bridge with whom, Asterisk tells.

===========  ==================================================================================
state.py     what is known of it so far
line.py      events of flows, queues, offers and voice mail boxes
talk.py      events of talks, and of what is done with the customer in one
outside.py   events of numbers that were dialled, and of who is outside
kept.py      events of its data and its recording
===========  ==================================================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from easycall import events as facts
from easycall.model import Contact, Direction
from easycall.policy import AT_DESK
from easycall.recovery.left_off import kept, line, outside, talk
from easycall.recovery.left_off.state import Dialled, LeftOff, Second, Taker

__all__ = ["Dialled", "LeftOff", "Second", "left_off"]

_TAKERS: Mapping[type[facts.Event], Taker] = {**line.TAKERS, **talk.TAKERS, **outside.TAKERS, **kept.TAKERS}


def left_off(story: Iterable[facts.Event]) -> LeftOff | None:
    """What a contact was doing, from its events in their order; None: they do not tell how it began, or it is no call.

    A contact without a call waits in line again by its request (:mod:`easycall.work.requests`).
    """
    state: LeftOff | None = None
    for event in story:
        if isinstance(event, facts.ContactEnded):
            return None
        if isinstance(event, facts.ContactArrived):
            if state is None:
                state = LeftOff(_contact(event), event.at, wanted=event.agent)
            continue
        if state is not None:
            _take(state, event)
    if state is None or state.contact.channel in AT_DESK:
        return None
    if state.contact.direction is Direction.OUTBOUND and state.leg_of_customer is None and state.side is None:
        return state if state.contact.pbx else None
    return state


def _take(state: LeftOff, event: facts.Event) -> None:
    """One more event."""
    state.last = event.at
    taker = _TAKERS.get(type(event))
    if taker is not None:
        taker(state, event)


def _contact(event: facts.ContactArrived) -> Contact:
    return Contact(
        id=event.contact,
        pbx=event.pbx,
        leg=event.leg,
        caller=event.caller,
        caller_name=event.caller_name,
        dialled=event.dialled,
        arrived=event.at,
        direction=event.direction,
        channel=event.channel,
        session=event.session,
        callback=event.callback,
    )
