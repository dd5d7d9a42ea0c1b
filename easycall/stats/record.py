"""One contact's record: a fold over its events.  Pure.

The record is one row of facts and a list of **segments that share out the contact's time**: they touch, none overlaps, and
together they last exactly from its arrival to its end.  Events may be missing, doubled or late; what is told twice counts
once, and time nobody accounts for stays with the segment before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from functools import singledispatchmethod

from attrs import evolve, field, frozen

from easycall.events import (
    Answered,
    CallDialled,
    Collected,
    ConferenceEnded,
    ConferenceStarted,
    ConsultEnded,
    ConsultStarted,
    ContactArrived,
    ContactEnded,
    DataAttached,
    DispositionSet,
    Event,
    FaxEnded,
    FaxStarted,
    FlowStep,
    Held,
    Lent,
    LoanEnded,
    MenuAnswered,
    Offered,
    OfferEnded,
    OutsideEnded,
    OutsideStarted,
    Parked,
    Queued,
    QueueOverflowed,
    Retrieved,
    ScreenPop,
    TalkEnded,
    VoicemailStarted,
)
from easycall.model import Direction, EndedBy, OfferOutcome, Outcome, OverflowTo, OverflowWhen
from easycall.policy import Channel
from easycall.stats.recordings import Recording, recordings_of

__all__ = ["WITH_AGENT", "Overflowed", "Record", "Segment", "SegmentKind", "fold"]


class SegmentKind(StrEnum):
    """What a contact was doing for a while."""

    IVR = "ivr"
    WAITING = "waiting"
    OFFER = "offer"
    """An agent was reserved and the phone was rung; the caller went on waiting."""
    TALK = "talk"
    HOLD = "hold"
    """The customer heard music; the agent kept the contact."""
    CONSULT = "consult"
    """The same, while the agent asked another."""
    LOAN = "loan"
    """The customer walked a flow that the agent sent it to."""
    DIAL = "dial"
    """A number outside was dialled: the customer's own, or that of whom the customer was given to."""
    OUTSIDE = "outside"
    """The customer talked with somebody outside, and no agent had the contact."""
    FAX = "fax"
    """The customer's fax machine sent or received."""
    CONFERENCE = "conference"
    """Customer, agent and those who were consulted talked; the agent may have been aside for a while."""
    PARKED = "parked"
    VOICEMAIL = "voicemail"
    """The customer left a message."""
    CLOSING = "closing"
    """Between the end of a talk, or of waiting, and the end of the contact."""


WITH_AGENT = frozenset(
    {
        SegmentKind.TALK,
        SegmentKind.HOLD,
        SegmentKind.CONSULT,
        SegmentKind.CONFERENCE,
        SegmentKind.LOAN,
        SegmentKind.FAX,
    }
)
"""Kinds in which an agent has the contact."""


@frozen
class Segment:
    """One stretch of a contact's time."""

    kind: SegmentKind
    started: float
    ended: float
    agent: str = ""
    queue: str = ""
    attempt: int = 0
    outcome: OfferOutcome | None = None
    """How the offer ended; None for other kinds, and while the phone rings."""

    @property
    def seconds(self) -> float:
        """How long it lasted."""
        return self.ended - self.started


@frozen
class Overflowed:
    """A queue that did not keep a contact."""

    at: float
    queue: str
    rule: OverflowWhen
    to: str
    """Where it went: ``queue:ID``, ``voicemail:BOX``, ``flow:NAME`` or ``hang_up``."""
    waited: float


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
    caller: str = ""
    caller_name: str = ""
    dialled: str = ""
    outcome: Outcome | None = None
    ended_by: EndedBy | None = None
    end_estimated: bool = False
    """Nobody saw it end: it did so some time before :attr:`ended`, while the link to its Asterisk was away."""
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
    end = next((event for event in ordered if isinstance(event, ContactEnded)), None)
    last = end.at if end is not None else max(ordered[-1].at, now or ordered[-1].at)
    line = _Line(arrived, max(arrived, last), SegmentKind.DIAL if direction is Direction.OUTBOUND else SegmentKind.IVR)
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
    )


def _seconds(segments: Sequence[Segment], *kinds: SegmentKind) -> float:
    return sum((part.seconds for part in segments if part.kind in kinds), 0.0)


class _Line:
    """The time line while it is drawn.  ``take`` wants the events in the order of their time."""

    def __init__(self, arrived: float, end: float, kind: SegmentKind) -> None:
        self.end = end
        self._open = Segment(kind, arrived, arrived)
        self._closed: list[Segment] = []
        self._dialled = False
        """Some number was dialled."""
        self._outside: set[str] = set()
        """The numbers outside that the customer talks with."""
        self._rung: dict[tuple[str, int], Offered] = {}
        """Agents who are rung at once."""
        self.queue = ""
        self.disposition = ""
        self.answers: dict[str, str] = {}
        self.data: dict[str, str] = {}
        self.overflows: list[Overflowed] = []

    def close(self, *, over: bool) -> tuple[Segment, ...]:
        """All segments, the last one reaching to the end.  ``over``: the contact has ended, so an open offer has, too."""
        last = self._open
        if over and last.kind is SegmentKind.OFFER and last.outcome is None:
            last = evolve(last, outcome=OfferOutcome.CALLER_LEFT)
        parts = [*self._closed, evolve(last, ended=self.end)]
        return tuple(part for part in parts if part.seconds > 0 or part.kind in (SegmentKind.OFFER, SegmentKind.TALK))

    def _begin(self, at: float, kind: SegmentKind, agent: str = "", queue: str = "", attempt: int = 0) -> None:
        if at > self.end:
            return
        at = max(at, self._open.started)
        self._closed.append(evolve(self._open, ended=at))
        self._open = Segment(kind, at, at, agent, queue, attempt)

    @singledispatchmethod
    def take(self, event: Event) -> None:
        """What one event means for the time line.  Events of other kinds mean nothing."""

    @take.register
    def _(self, event: FlowStep) -> None:
        if self._open.kind in (SegmentKind.WAITING, SegmentKind.CLOSING):
            self._begin(event.at, SegmentKind.IVR)

    @take.register
    def _(self, event: MenuAnswered) -> None:
        self.answers[event.node] = event.choice

    @take.register
    def _(self, event: Collected) -> None:
        if event.value:
            self.answers[event.name] = event.value

    @take.register
    def _(self, event: DataAttached) -> None:
        self.data.update(event.data)
        for name in [name for name, value in self.data.items() if not value]:
            del self.data[name]

    @take.register
    def _(self, event: DispositionSet) -> None:
        self.disposition = event.disposition

    @take.register
    def _(self, event: Queued) -> None:
        self._rung.clear()
        again = self._open.kind is SegmentKind.WAITING and event.queue == self._open.queue
        if not again and self._open.kind not in (SegmentKind.OFFER, *WITH_AGENT):
            self.queue = event.queue
            self._begin(event.at, SegmentKind.WAITING, queue=event.queue)

    @take.register
    def _(self, event: QueueOverflowed) -> None:
        self.overflows.append(Overflowed(event.at, event.queue, event.rule, event.to, event.waited))
        if self._open.kind not in (SegmentKind.OFFER, *WITH_AGENT):
            self.queue = event.queue
            if self._open.kind is SegmentKind.WAITING and event.to == OverflowTo.HANG_UP:
                self._begin(event.at, SegmentKind.CLOSING)

    @take.register
    def _(self, event: Offered) -> None:
        open_ = self._open
        if open_.kind in WITH_AGENT or any(self._is(part, event) for part in (open_, *self._closed)):
            return
        self.queue = event.queue
        if event.at_once > 1:
            self._rung[event.agent, event.attempt] = event
            if (open_.agent, open_.attempt) in self._rung and open_.outcome is None:
                return  # one stands for all
        undialled = open_.kind is SegmentKind.DIAL and not self._dialled  # an agent is rung before the customer is
        at = open_.started if undialled else event.at
        self._begin(at, SegmentKind.OFFER, event.agent, event.queue, event.attempt)

    @take.register
    def _(self, event: CallDialled) -> None:
        self._dialled = True
        if event.purpose != "consult" and self._open.kind not in (SegmentKind.DIAL, *WITH_AGENT):
            self._begin(event.at, SegmentKind.DIAL, self._open.agent if event.purpose == "customer" else "")

    @take.register
    def _(self, event: OutsideStarted) -> None:
        self._outside.add(event.number)
        if self._open.kind is not SegmentKind.OUTSIDE:
            self._begin(event.at, SegmentKind.OUTSIDE)

    @take.register
    def _(self, event: OutsideEnded) -> None:
        self._outside.discard(event.number)
        if self._open.kind is SegmentKind.OUTSIDE and not self._outside:
            self._begin(event.at, SegmentKind.CLOSING)

    @take.register
    def _(self, event: OfferEnded) -> None:
        self._rung.pop((event.agent, event.attempt), None)
        if self._is(self._open, event) and self._open.outcome is None:
            self._open = evolve(self._open, outcome=event.outcome)
            if event.outcome is not OfferOutcome.ANSWERED:
                self._goes_on(event.at)
            return
        for index, part in enumerate(self._closed):
            if self._is(part, event) and part.outcome is None:
                self._closed[index] = evolve(part, outcome=event.outcome)

    def _goes_on(self, at: float) -> None:
        """An offer came to nothing: others of those rung at once ring on, or it waits."""
        other = next(iter(self._rung.values()), None)
        if other is not None:
            self._begin(at, SegmentKind.OFFER, other.agent, other.queue, other.attempt)
        else:
            self._begin(at, SegmentKind.WAITING, queue=self.queue)

    @take.register
    def _(self, event: Answered) -> None:
        self._rung.clear()
        open_ = self._open
        if open_.kind is SegmentKind.TALK and open_.agent == event.agent:
            return
        if open_.kind is SegmentKind.OFFER and open_.outcome is None:
            same = open_.agent == event.agent
            self._open = evolve(open_, outcome=OfferOutcome.ANSWERED if same else OfferOutcome.LOST)
        self.queue = event.queue
        self._begin(event.at, SegmentKind.TALK, event.agent, event.queue)

    @take.register
    def _(self, event: Held) -> None:
        self._with_agent(event, SegmentKind.HOLD)

    @take.register
    def _(self, event: Retrieved) -> None:
        self._with_agent(event, SegmentKind.TALK)

    @take.register
    def _(self, event: ConsultStarted) -> None:
        if self._open.kind is not SegmentKind.CONFERENCE:
            self._with_agent(event, SegmentKind.CONSULT)

    @take.register
    def _(self, event: ConsultEnded) -> None:
        if self._open.kind is SegmentKind.CONSULT:
            self._with_agent(event, SegmentKind.HOLD)

    @take.register
    def _(self, event: ConferenceStarted) -> None:
        self._with_agent(event, SegmentKind.CONFERENCE)

    @take.register
    def _(self, event: ConferenceEnded) -> None:
        self._with_agent(event, SegmentKind.CONSULT if event.held else SegmentKind.TALK)

    @take.register
    def _(self, event: Parked) -> None:
        if self._open.kind is not SegmentKind.PARKED:
            self._begin(event.at, SegmentKind.PARKED, queue=self.queue)

    @take.register
    def _(self, event: VoicemailStarted) -> None:
        if self._open.kind is not SegmentKind.VOICEMAIL:
            self._begin(event.at, SegmentKind.VOICEMAIL)

    @take.register
    def _(self, event: Lent) -> None:
        self._with_agent(event, SegmentKind.LOAN)

    @take.register
    def _(self, event: LoanEnded) -> None:
        if event.back:
            self._with_agent(event, SegmentKind.TALK)

    @take.register
    def _(self, event: FaxStarted) -> None:
        if event.agent:
            self._with_agent(event, SegmentKind.FAX)
        elif self._open.kind is SegmentKind.IVR:
            self._begin(event.at, SegmentKind.FAX)

    @take.register
    def _(self, event: FaxEnded) -> None:
        if self._open.kind is not SegmentKind.FAX:
            return
        if self._open.agent:
            self._with_agent(event, SegmentKind.TALK)
        else:
            self._begin(event.at, SegmentKind.CLOSING if self._talked else SegmentKind.IVR)

    def _with_agent(self, event: Event, kind: SegmentKind) -> None:
        """What an agent who has the contact does with it."""
        open_ = self._open
        if open_.kind in WITH_AGENT and open_.agent == event.agent and open_.kind is not kind:
            self._begin(event.at, kind, event.agent, open_.queue)

    @take.register
    def _(self, event: TalkEnded) -> None:
        if self._open.kind in WITH_AGENT and event.agent in ("", self._open.agent):
            self._begin(event.at, SegmentKind.FAX if self._open.kind is SegmentKind.FAX else SegmentKind.CLOSING)

    @take.register
    def _(self, event: ScreenPop) -> None:
        self.data.update(event.data)
        for node, choice in event.answers.items():
            self.answers.setdefault(node, choice)

    @property
    def _talked(self) -> bool:
        return any(part.kind is SegmentKind.TALK for part in self._closed)

    @staticmethod
    def _is(part: Segment, event: Offered | OfferEnded) -> bool:
        return part.kind is SegmentKind.OFFER and (part.agent, part.attempt) == (event.agent, event.attempt)
