"""What belongs to a contact beside the segments of its time: folds over its events, in the order of their time.  Pure.

What is told twice counts once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from attrs import evolve, field, frozen

from easycall.events import (
    AgentChanged,
    Answered,
    CallAnswered,
    CallDialled,
    CallFailed,
    Event,
    FlowStep,
    Offered,
    OfferEnded,
    TransactionReported,
    WrapUpEnded,
)
from easycall.model import AgentState, DialOutcome, OfferOutcome
from easycall.stats.time_line import Segment, SegmentKind

__all__ = [
    "Dial",
    "NodeVisit",
    "OfferMade",
    "Transaction",
    "WrappedUp",
    "dials_of",
    "latest",
    "nodes_of",
    "offers_of",
    "transaction",
    "transactions_of",
    "wrap_ups_of",
    "wrapped_up",
]


@frozen
class NodeVisit:
    """The customer was at a node of a flow."""

    flow: str
    node: str
    started: float
    ended: float


@frozen
class OfferMade:
    """An agent was rung for the contact."""

    agent: str
    queue: str
    attempt: int
    started: float
    ended: float | None = None
    """None while the phone rings."""
    outcome: OfferOutcome | None = None


@frozen
class Dial:
    """A number outside was dialled for the contact."""

    number: str
    trunk: str
    purpose: str
    """``customer``, or why somebody else was called."""
    started: float
    ended: float | None = None
    """When it was answered, or will not be; None while it rings."""
    outcome: DialOutcome | None = None
    """None while it rings; CANCELLED: the contact ended meanwhile."""
    cause: int = 0
    """The network's (ITU-T Q.850); 0: none was told."""


@frozen
class WrappedUp:
    """An agent's work after a talk."""

    agent: str
    queue: str
    started: float
    ended: float | None = None
    """None while it lasts."""


@frozen
class Transaction:
    """Business that was done with the contact, as a flow or a system outside reported it."""

    at: float
    name: str
    outcome: str
    reference: str = ""
    amount: str = ""
    """A decimal number; empty: there is none."""
    currency: str = ""
    agent: str = ""
    """Who had the contact."""
    data: Mapping[str, str] = field(factory=dict)
    node: str = ""
    """The node of the flow that reported it, ``FLOW:NODE``."""
    by: str = ""
    """The API token that did."""


class _Rung(NamedTuple):
    agent: str
    attempt: int


def nodes_of(ordered: Sequence[Event], segments: Sequence[Segment]) -> tuple[NodeVisit, ...]:
    """The nodes a contact came to; each lasts until the next one, or until the customer is out of the flow."""
    steps = list(dict.fromkeys(event for event in ordered if isinstance(event, FlowStep)))
    visits = []
    for number, step in enumerate(steps):
        following = steps[number + 1].at if number + 1 < len(steps) else None
        left = _left_flow(step.at, segments)
        ended = left if following is None else min(left, following)
        visits.append(NodeVisit(step.flow, step.node, step.at, max(step.at, ended)))
    return tuple(visits)


def _left_flow(at: float, segments: Sequence[Segment]) -> float:
    """When a customer who is in a flow at a moment is out of it: with the first segment that is no flow's."""
    left = at
    for part in segments:
        if part.ended <= at:
            continue
        if part.kind not in (SegmentKind.IVR, SegmentKind.LOAN, SegmentKind.FAX):
            break
        left = part.ended
    return left


def offers_of(ordered: Iterable[Event], end: float | None) -> tuple[OfferMade, ...]:
    """The offers of a contact; ``end``: when it ended, and with it what rang.  None: it lives."""
    offers: dict[_Rung, OfferMade] = {}
    for event in ordered:
        match event:
            case Offered():
                key = _Rung(event.agent, event.attempt)
                offers.setdefault(key, OfferMade(event.agent, event.queue, event.attempt, event.at))
            case OfferEnded():
                key = _Rung(event.agent, event.attempt)
                if key in offers and offers[key].outcome is None:
                    offers[key] = evolve(offers[key], ended=event.at, outcome=event.outcome)
            case Answered():
                for key, offer in offers.items():
                    if offer.outcome is None and offer.agent == event.agent:
                        offers[key] = evolve(offer, ended=event.at, outcome=OfferOutcome.ANSWERED)
    if end is not None:
        for key, offer in offers.items():
            if offer.outcome is None:
                offers[key] = evolve(offer, ended=max(end, offer.started), outcome=OfferOutcome.CALLER_LEFT)
    return tuple(offers.values())


def dials_of(ordered: Iterable[Event], end: float | None) -> tuple[Dial, ...]:
    """What was dialled for a contact; ``end``: when it ended, and with it what rang.  None: it lives."""
    dials: dict[str, Dial] = {}
    for event in ordered:
        match event:
            case CallDialled():
                dials.setdefault(event.leg, Dial(event.number, event.trunk, event.purpose, event.at))
            case CallAnswered() if event.leg in dials:
                _settle(dials, event, DialOutcome.ANSWERED)
            case CallFailed() if event.leg in dials:
                _settle(dials, event, event.outcome, event.cause)
    if end is not None:
        for leg, dial in dials.items():
            if dial.outcome is None:
                dials[leg] = evolve(dial, ended=max(end, dial.started), outcome=DialOutcome.CANCELLED)
    return tuple(dials.values())


def _settle(dials: dict[str, Dial], event: CallAnswered | CallFailed, outcome: DialOutcome, cause: int = 0) -> None:
    """The first word counts."""
    if dials[event.leg].outcome is None:
        dials[event.leg] = evolve(dials[event.leg], ended=event.at, outcome=outcome, cause=cause)


def wrap_ups_of(ordered: Iterable[Event]) -> tuple[WrappedUp, ...]:
    """The wrap-ups after the talks of a contact."""
    running: dict[str, WrappedUp] = {}
    done: dict[tuple[str, float], WrappedUp] = {}
    for event in ordered:
        if isinstance(event, AgentChanged) and event.state is AgentState.WRAP_UP:
            running.setdefault(event.agent, WrappedUp(event.agent, "", event.at))
        elif isinstance(event, WrapUpEnded):
            running.pop(event.agent, None)
            done.setdefault((event.agent, event.started), wrapped_up(event))
    still = [one for one in running.values() if (one.agent, one.started) not in done]
    return tuple(sorted([*done.values(), *still], key=lambda one: (one.started, one.agent)))


def wrapped_up(event: WrapUpEnded) -> WrappedUp:
    """A wrap-up that is over."""
    return WrappedUp(event.agent, event.queue, event.started, event.at)


def transactions_of(ordered: Iterable[Event]) -> tuple[Transaction, ...]:
    """The transactions of a contact; of the same name and reference the latest counts."""
    return latest(transaction(event) for event in ordered if isinstance(event, TransactionReported))


def transaction(event: TransactionReported) -> Transaction:
    """A transaction as it was reported."""
    what = event.name, event.outcome, event.reference, event.amount, event.currency
    return Transaction(event.at, *what, agent=event.agent, data=event.data, node=event.node, by=event.by)


def latest(reported: Iterable[Transaction]) -> tuple[Transaction, ...]:
    """Of the same name and reference the one reported last, in the order in which they were reported."""
    found: dict[tuple[str, str, float, str], Transaction] = {}
    for one in reported:
        key = (one.name, one.reference, 0.0, "") if one.reference else (one.name, "", one.at, one.outcome)
        found.pop(key, None)
        found[key] = one
    return tuple(found.values())
