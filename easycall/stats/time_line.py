"""A contact's time, shared out: a fold over its events.  Pure.

The segments touch, none overlaps, and together they last exactly from the contact's arrival to its end.  Events may be
missing, doubled or late; what is told twice counts once, and time nobody accounts for stays with the segment before it.
"""

from __future__ import annotations

from enum import StrEnum
from functools import singledispatchmethod

from attrs import evolve, frozen

from easycall.events import (
    Answered,
    CallAnswered,
    CallDialled,
    Collected,
    ConferenceEnded,
    ConferenceStarted,
    ConsultEnded,
    ConsultStarted,
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
from easycall.model import OfferOutcome, OverflowTo, OverflowWhen

__all__ = ["WITH_AGENT", "Overflowed", "Segment", "SegmentKind", "TimeLine"]


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


class TimeLine:
    """The time line while it is drawn.  ``take`` wants the events in the order of their time."""

    def __init__(self, arrived: float, end: float, kind: SegmentKind) -> None:
        self.end = end
        self._open = Segment(kind, arrived, arrived)
        self._closed: list[Segment] = []
        self._customers_leg = ""
        """On which the customer was dialled; empty: nobody did."""
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
        if event.purpose == "customer":
            self._customers_leg = event.leg
        if event.purpose != "consult" and self._open.kind not in (SegmentKind.DIAL, *WITH_AGENT):
            self._begin(event.at, SegmentKind.DIAL, self._open.agent if event.purpose == "customer" else "")

    @take.register
    def _(self, event: CallAnswered) -> None:
        """A customer who was dialled out of the line, and for whom no agent is held, waits in it from now."""
        if event.leg != self._customers_leg:
            return
        if self._open.kind is SegmentKind.DIAL and not self._open.agent and any(map(_waits, self._closed)):
            self._begin(event.at, SegmentKind.WAITING, queue=self.queue)

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


def _waits(part: Segment) -> bool:
    return part.kind is SegmentKind.WAITING
