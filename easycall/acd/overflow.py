"""Which rule of a queue holds for a contact, and when that must be asked again.  Pure."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from easycall.model import Closing, OverflowRule, OverflowWhen, Queue

__all__ = ["OF_STAFF", "Facts", "judge"]

OF_STAFF = frozenset({OverflowWhen.NOBODY_LOGGED_IN, OverflowWhen.NOBODY_ELIGIBLE})
"""Rules that may begin to hold when an agent leaves."""


@frozen
class Facts:
    """How things stand for one contact in a queue, or before it."""

    entering: bool
    """It is not in line yet, and has not been."""
    since: float
    """When it began to wait."""
    waiting: int = 0
    """How many wait in the queue beside it."""
    logged_in: int = 1
    eligible: int = 1
    """How many agents of the queue are logged in, and ready or soon to be (:class:`~easycall.acd.presence.Presence`)."""
    expected: float | None = None
    """How long it would have to wait from now, in seconds; None: nobody can tell."""


def judge(queue: Queue, facts: Facts, now: float) -> OverflowRule | float:
    """The first rule that holds, or when to ask again even if nothing happens meanwhile.

    What else must lead to asking again: an agent who leaves (rules :data:`OF_STAFF`).
    """
    for rule in queue.rules:
        if _holds(rule, queue, facts, now):
            return rule
    return min(_moments(queue, facts, now))


def _holds(rule: OverflowRule, queue: Queue, facts: Facts, now: float) -> bool:
    match rule.when:
        case OverflowWhen.CLOSED:
            bars = facts.entering or queue.closing is Closing.OVERFLOW
            return bars and queue.hours is not None and not queue.hours.is_open(now)
        case OverflowWhen.FULL:
            return facts.entering and 0 < queue.max_waiting <= facts.waiting
        case OverflowWhen.NOBODY_LOGGED_IN:
            return facts.logged_in == 0
        case OverflowWhen.NOBODY_ELIGIBLE:
            return facts.eligible == 0
        case OverflowWhen.WAITED:
            return now >= facts.since + rule.seconds
        case OverflowWhen.EXPECTED_WAIT:
            return facts.expected is not None and facts.expected >= rule.seconds


def _moments(queue: Queue, facts: Facts, now: float) -> Iterator[float]:
    """When a rule that does not hold now may do so by the clock alone."""
    yield from (facts.since + rule.seconds for rule in queue.rules if rule.when is OverflowWhen.WAITED)
    if queue.hours is not None and queue.closing is Closing.OVERFLOW:
        closes = queue.hours.next_change(now)
        if closes is not None:
            yield closes
