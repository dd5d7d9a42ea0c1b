"""One contact's record: a fold over its events.  Pure.

The record is one row of facts, a list of segments that share out the contact's time (:mod:`easycall.stats.time_line`), and
what belongs to the contact beside them (:mod:`easycall.stats.particulars`, :mod:`easycall.stats.recordings`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from attrs import evolve, field, frozen

from easycall.events import ContactArrived, ContactEnded, Event, SessionJoined
from easycall.model import Direction, EndedBy, Outcome
from easycall.policy import Channel
from easycall.stats.particulars import (
    Dial,
    NodeVisit,
    OfferMade,
    Transaction,
    WrappedUp,
    dials_of,
    nodes_of,
    offers_of,
    transactions_of,
    wrap_ups_of,
)
from easycall.stats.recordings import Recording, recordings_of
from easycall.stats.time_line import WITH_AGENT, Overflowed, Segment, SegmentKind, TimeLine

__all__ = [
    "WITH_AGENT",
    "Dial",
    "NodeVisit",
    "OfferMade",
    "Overflowed",
    "Record",
    "Segment",
    "SegmentKind",
    "Transaction",
    "WrappedUp",
    "completed",
    "fold",
]


@frozen(kw_only=True)
class Record:
    """One contact, as reports and the API see it."""

    id: str
    arrived: float
    ended: float | None = None
    """None while the contact lives; its segments then reach to the moment of asking."""
    live: bool = False
    pbx: str = ""
    channel: Channel = Channel.CALL
    direction: Direction = Direction.INBOUND
    session: str = ""
    """The id of the first contact of the same matter, of one that calls back or calls in for it; empty: its own."""
    callback: str = ""
    """The callback that it is an attempt of; empty: of none."""
    caller: str = ""
    caller_name: str = ""
    dialled: str = ""
    outcome: Outcome | None = None
    ended_by: EndedBy | None = None
    end_estimated: bool = False
    """Nobody saw it end: it did so some time before :attr:`ended`, while the link to its Asterisk was away."""
    erased: bool = False
    """What told whose it was has been erased on request."""
    queue: str = ""
    """The last queue it waited in, or was not let into."""
    agent: str = ""
    """The last agent it talked with."""
    disposition: str = ""
    """What an agent said came of it; the latest word counts."""
    waited: float = 0.0
    """Seconds in queues, phones ringing included."""
    talked: float = 0.0
    answers: Mapping[str, str] = field(factory=dict)
    data: Mapping[str, str] = field(factory=dict)
    overflows: tuple[Overflowed, ...] = ()
    """The queues that did not keep it, in the order of time."""
    segments: tuple[Segment, ...] = ()
    recordings: tuple[Recording, ...] = ()
    nodes: tuple[NodeVisit, ...] = ()
    """The nodes of flows it came to, within the segments of IVR and loan."""
    offers: tuple[OfferMade, ...] = ()
    """Each agent who was rung; of those rung at once the segments show one at a time."""
    dials: tuple[Dial, ...] = ()
    """Each number outside that was dialled for it."""
    wrap_ups: tuple[WrappedUp, ...] = ()
    """The agents' work after their talks; it is the agents' time, and may last beyond the end."""
    transactions: tuple[Transaction, ...] = ()


def fold(contact: str, events: Iterable[Event], now: float | None = None) -> Record | None:
    """The record of a contact from its events in any order; None when there are none.

    A contact without its end is live when ``now`` says up to when; without ``now`` it stops at its last event.
    """
    ordered = sorted(events, key=lambda event: event.at)
    if not ordered:
        return None
    first = next((event for event in ordered if isinstance(event, ContactArrived)), None)
    arrived = first.at if first else ordered[0].at
    direction = first.direction if first else Direction.INBOUND
    session, callback = _matter(ordered)
    end = next((event for event in ordered if isinstance(event, ContactEnded)), None)
    last = end.at if end is not None else max(ordered[-1].at, now or ordered[-1].at)
    line = TimeLine(arrived, max(arrived, last), SegmentKind.DIAL if direction is Direction.OUTBOUND else SegmentKind.IVR)
    for event in ordered:
        line.take(event)
    segments = line.close(over=end is not None)
    return Record(
        id=contact,
        arrived=arrived,
        ended=max(arrived, end.at) if end else None,
        live=end is None and now is not None,
        pbx=first.pbx if first else "",
        channel=first.channel if first else Channel.CALL,
        direction=direction,
        session=session,
        callback=callback,
        caller=first.caller if first else "",
        caller_name=first.caller_name if first else "",
        dialled=first.dialled if first else "",
        outcome=end.outcome if end else None,
        ended_by=end.ended_by if end else None,
        end_estimated=end is not None and end.end_estimated,
        queue=line.queue,
        agent=next((part.agent for part in reversed(segments) if part.kind is SegmentKind.TALK), ""),
        disposition=line.disposition,
        waited=_seconds(segments, SegmentKind.WAITING, SegmentKind.OFFER),
        talked=_seconds(segments, SegmentKind.TALK, SegmentKind.CONFERENCE),
        answers=line.answers,
        data=line.data,
        overflows=tuple(dict.fromkeys(line.overflows)),
        segments=segments,
        recordings=recordings_of(ordered, None if end is None and now is not None else line.end),
        nodes=nodes_of(ordered, segments),
        offers=offers_of(ordered, line.end if end is not None else None),
        dials=dials_of(ordered, line.end if end is not None else None),
        wrap_ups=wrap_ups_of(ordered),
        transactions=transactions_of(ordered),
    )


def completed(record: Record, events: Iterable[Event]) -> Record:
    """A stored record with what only its events tell: of which matter it is, and what was dialled."""
    ordered = sorted(events, key=lambda event: event.at)
    session, callback = _matter(ordered)
    return evolve(record, dials=dials_of(ordered, record.ended), session=session, callback=callback)


def _matter(events: Sequence[Event]) -> tuple[str, str]:
    """The session that a contact is of, and the callback that led to it or came to nothing by it; empty: its own, none."""
    about = [event for event in events if isinstance(event, ContactArrived | SessionJoined) and event.session]
    return (about[-1].session, about[-1].callback) if about else ("", "")


def _seconds(segments: Sequence[Segment], *kinds: SegmentKind) -> float:
    return sum((part.seconds for part in segments if part.kind in kinds), 0.0)
