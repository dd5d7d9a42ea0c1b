"""What becomes of a callback, and when: its states and the ladder of its attempts.  Pure: ``now`` is an argument.

::

    scheduled ──judge: Begin──> in line ──dialled──> (the customer's telephone rings, or the customer waits)
        ^                          │                      │
        │        withdrawn         │       settled        │
        └──────────────────────────┴──────────────────────┴──> reached, exhausted, refused, expired
    scheduled or in line ──over──> called in, met, cancelled, refused, expired

:func:`judge` says whether a scheduled one may go into the line now; :func:`settled` what comes after a contact of it has
ended: the next attempt, after a time that depends on the outcome, or the end.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

from attrs import evolve, frozen

from easycall.callback.calling_hours import CallingHours
from easycall.model import Attempt, Callback, CallbackRules, CallbackState, Outcome, OwnerAway, Queue

__all__ = [
    "AGAIN_SECONDS",
    "Begin",
    "Facts",
    "Later",
    "Over",
    "Verdict",
    "Why",
    "begun",
    "dialled",
    "in_words",
    "is_late",
    "judge",
    "over",
    "settled",
]

AGAIN_SECONDS = 30.0
"""After a contact ended that did not come to dial the customer, the next one is not begun sooner."""


class Why(StrEnum):
    """Why a callback is not made yet."""

    NOT_DUE = "not_due"
    QUIET_HOURS = "quiet_hours"
    """Nobody is called now where the customer lives."""
    QUEUE_CLOSED = "queue_closed"
    ATTEMPTS_TODAY = "attempts_today"
    """The customer was called as often as may be on one day."""
    ON_THE_LINE = "on_the_line"
    """The customer has a call with us."""
    NOBODY_THERE = "nobody_there"
    """No agent is logged in who could take it."""
    OWNER_AWAY = "owner_away"
    """The agent whose it is is not logged in."""


@frozen
class Facts:
    """What counts beside the callback itself."""

    on_the_line: bool = False
    """The customer has a call with us."""
    staffed: bool = True
    """Somebody is logged in who serves the queue."""
    owner_there: bool = True
    """The agent whose it is is logged in for the queue; of no interest when it is nobody's."""


@frozen
class Begin:
    """It goes into the line now."""

    owner: str = ""
    """For whom alone it waits at first; empty: anybody may have it."""


@frozen
class Later:
    """Not yet."""

    why: Why
    until: float
    """When to ask again at the latest: sooner when one of the facts has changed."""


@frozen
class Over:
    """Never any more."""

    state: CallbackState
    why: str


Verdict: TypeAlias = Begin | Later | Over


def judge(callback: Callback, queue: Queue, hours: CallingHours, facts: Facts, now: float) -> Verdict:
    """Whether a scheduled callback may go into the line.  ``hours``: when its customer may be called.

    It is asked once more when the customer is about to be dialled, as time may have passed in line: then only
    :class:`Begin` lets it go on.
    """
    verdict = _verdict(callback, queue, hours, facts, now)
    if isinstance(verdict, Later) and verdict.until > callback.expires:
        return Later(verdict.why, callback.expires)
    return verdict


def _verdict(callback: Callback, queue: Queue, hours: CallingHours, facts: Facts, now: float) -> Verdict:
    rules = queue.callback
    if now >= callback.expires:
        return Over(CallbackState.EXPIRED, "it was not possible in time")
    if len(callback.attempts) >= rules.attempts:
        return Over(CallbackState.EXHAUSTED, _attempts(callback))
    later = _by_the_clock(callback, queue, hours, now)
    if later is not None:
        return later
    if facts.on_the_line:
        return Later(Why.ON_THE_LINE, callback.expires)
    if not facts.staffed:
        return Later(Why.NOBODY_THERE, callback.expires)
    if not callback.agent or is_late(callback, queue, hours, now):
        return Begin()
    if facts.owner_there:
        return Begin(callback.agent)
    if rules.owner_away is OwnerAway.ANYONE:
        return Begin()
    return Later(Why.OWNER_AWAY, _late_at(callback, queue, hours, now))


def _by_the_clock(callback: Callback, queue: Queue, hours: CallingHours, now: float) -> Later | None:
    """Why it is not possible at this time, whoever is there."""
    if now < callback.due:
        return Later(Why.NOT_DUE, callback.due)
    today = hours.day_of(now)
    called = sum(hours.day_of(attempt.at) == today for attempt in callback.attempts)
    if called >= queue.callback.attempts_per_day:
        return Later(Why.ATTEMPTS_TODAY, hours.next_day(now))
    if not hours.is_open(now):
        return Later(Why.QUIET_HOURS, hours.opens(now) or callback.expires)
    if queue.hours is not None and not queue.hours.is_open(now):
        return Later(Why.QUEUE_CLOSED, queue.hours.next_change(now) or callback.expires)
    return None


def is_late(callback: Callback, queue: Queue, hours: CallingHours, now: float) -> bool:
    """Whether it is late, counting only the time in which it could be made: it belongs to nobody any more then."""
    late = queue.callback.late_seconds
    return bool(late) and _possible(callback, queue, hours, now) >= late


def _late_at(callback: Callback, queue: Queue, hours: CallingHours, now: float) -> float:
    """Not before this it is late: to be asked again then."""
    late = queue.callback.late_seconds
    return now + max(1.0, late - _possible(callback, queue, hours, now)) if late else callback.expires


def _possible(callback: Callback, queue: Queue, hours: CallingHours, now: float) -> float:
    """For how many seconds since it was due the customer might be called, and the queue was open."""
    return hours.also(queue.hours).open_seconds(callback.due, now)


def begun(callback: Callback, contact: str, now: float) -> Callback:
    """It is in line, as this contact: at the place that its caller had, or else behind all others."""
    return evolve(callback, state=CallbackState.IN_LINE, contact=contact, since=callback.since or now)


def dialled(callback: Callback, now: float, agent: str) -> Callback:
    """Its customer is being dialled.  ``agent``: who waits, or is held, for the customer."""
    return evolve(callback, attempts=(*callback.attempts, Attempt(callback.contact, now, agent=agent)))


def over(callback: Callback, state: CallbackState, why: str, now: float) -> Callback:
    """It has come to an end."""
    return evolve(callback, state=state, why=why, ended=now, contact="")


def settled(
    callback: Callback,
    rules: CallbackRules,
    outcome: Outcome,
    now: float,
    *,
    cause: int = 0,
    agent: str = "",
    put_off: tuple[float, str] = (0.0, ""),
) -> Callback:
    """What becomes of it when its contact has ended like this.  ``cause``: the network's, of one who was not reached;
    ``put_off``: before when one who was not dialled is not to be tried again, and why.

    One that is not in line is as it was: it came to its end while the contact went on, or was told of this before.
    """
    if callback.state is not CallbackState.IN_LINE:
        return callback
    attempt = callback.last
    if attempt is None or attempt.contact != callback.contact:
        not_before, why = put_off
        due = max(now + AGAIN_SECONDS, not_before)
        return _again(callback, due, why or f"not dialled: {_said(outcome)}", now, since=callback.since)
    known = evolve(attempt, outcome=outcome, cause=cause, agent=agent or attempt.agent, ended=now)
    callback = evolve(callback, attempts=(*callback.attempts[:-1], known))
    if outcome is Outcome.ANSWERED:
        return over(callback, CallbackState.REACHED, "", now)
    if outcome is Outcome.UNALLOCATED:
        return over(callback, CallbackState.REFUSED, "there is no such number", now)
    delay = AGAIN_SECONDS if outcome is Outcome.CANCELLED else rules.delay(outcome)
    if delay is None or _enough(callback, rules, outcome):
        why = f"{_attempts(callback)}, the last one: {_said(outcome)}"
        return over(callback, CallbackState.EXHAUSTED, why, now)
    if outcome is Outcome.CANCELLED:
        return _again(callback, now + delay, "withdrawn", now, since=callback.since)
    return _again(callback, now + delay, _said(outcome), now)


def _enough(callback: Callback, rules: CallbackRules, outcome: Outcome) -> bool:
    """Whether there were as many attempts as there may be, or as many of this outcome."""
    same = sum(one.outcome is outcome for one in callback.attempts)
    return len(callback.attempts) >= rules.attempts or same >= rules.most.get(outcome, same + 1)


def _again(callback: Callback, due: float, why: str, now: float, since: float = 0.0) -> Callback:
    """Another attempt, if there is time for one.  ``since``: its place in line; 0: behind all others."""
    if due >= callback.expires:
        return over(callback, CallbackState.EXPIRED, why, now)
    return evolve(callback, state=CallbackState.SCHEDULED, contact="", due=due, since=since, why=why)


def _attempts(callback: Callback) -> str:
    many = len(callback.attempts)
    return f"{many} attempt{'' if many == 1 else 's'}"


def _said(outcome: Outcome) -> str:
    return outcome.value.replace("_", " ")


_WORDS = {
    Why.NOT_DUE: "it is not due",
    Why.QUIET_HOURS: "the customer is not called at this time",
    Why.QUEUE_CLOSED: "the queue is closed",
    Why.ATTEMPTS_TODAY: "the customer was called as often as may be on one day",
    Why.ON_THE_LINE: "the customer is on the line with us",
    Why.NOBODY_THERE: "nobody is logged in who could take it",
    Why.OWNER_AWAY: "the agent whose it is is not logged in",
}


def in_words(later: Later) -> str:
    """Why it is not made yet, for people."""
    return _WORDS[later.why]
