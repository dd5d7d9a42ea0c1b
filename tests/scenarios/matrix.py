"""The matrix of call control: each step of each flow × everything that can go wrong there, and what must come of it.  Pure.

A *place* is who is where: the customer, the agent who has the call (agent 1), the one who is asked (agent 2) and somebody
outside who is asked.  A *step* leads to a place.  :func:`expected` gives the place that a failure at a place must lead to,
by the rules of call control: the customer is with somebody, or first in line, and never hung up by us; an agent who leaves
wraps up.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import accumulate
from typing import Any

from attrs import evolve, frozen

__all__ = [
    "NOT_REACHED",
    "ON_A_LEG",
    "ON_THE_WAY",
    "At",
    "Cell",
    "Failure",
    "Is",
    "Place",
    "Results",
    "Step",
    "cells",
    "expected",
    "possible",
]


class At(StrEnum):
    """Whom the customer is with."""

    ONE = "agent 1"
    TWO = "agent 2"
    BOTH = "both agents"
    OUTSIDE = "somebody outside"
    MUSIC = "music"
    PARKED = "music, parked"
    FLOW = "a flow"
    FAX = "the fax"
    MAIL = "voice mail"
    UNCALLED = "nobody: not called yet"
    RUNG = "nobody: rung"
    GONE = "nobody: gone"


NOT_REACHED = (At.UNCALLED, At.RUNG)
"""Before a customer whom we call has answered."""


class Is(StrEnum):
    """What an agent does, or somebody outside."""

    READY = "ready"
    NOT_READY = "not ready"
    RESERVED = "reserved"
    RINGS = "rung"
    TALKS = "talks"
    WAITS = "hears music"
    WRAPS_UP = "wraps up"
    LISTENS = "listens"
    """As a supervisor, of whom the customer knows nothing."""
    AWAY = "away"
    """Somebody outside, with whom nobody has a call."""


ON_A_LEG = (Is.TALKS, Is.WAITS)


@frozen
class Place:
    """Who is where."""

    customer: At
    one: Is = Is.NOT_READY
    two: Is = Is.NOT_READY
    outside: Is = Is.AWAY
    ended_by: str = ""
    """Who ended the contact, once the customer is gone."""
    outcome: str = ""
    """What became of a contact whose customer was not reached."""

    @property
    def in_line(self) -> bool:
        """The customer waits for whoever is free next: nobody has the call and no phone rings for it."""
        return self.customer is At.MUSIC and not {self.one, self.two, self.outside} & {Is.RINGS, *ON_A_LEG}

    def __str__(self) -> str:
        if self.customer is At.GONE:
            where = f"ended by the {self.ended_by}{self.outcome and f', {self.outcome}'}"
        else:
            where = "in line, music" if self.in_line else f"customer: {self.customer}"
        outside = "" if self.outside is Is.AWAY else f", outside {self.outside}"
        return f"{where}; 1 {self.one}, 2 {self.two}{outside}"


class Failure(StrEnum):
    """What happens at a place."""

    NOTHING = "(success)"
    CUSTOMER = "customer hangs up"
    CUSTOMER_BUSY = "customer is busy"
    CUSTOMER_DECLINES = "customer declines"
    CUSTOMER_MISSES = "customer does not answer"
    ONE = "agent 1 hangs up"
    ONE_DECLINES = "agent 1 declines"
    ONE_MISSES = "agent 1 does not answer"
    TWO = "agent 2 hangs up"
    TWO_DECLINES = "agent 2 declines"
    TWO_MISSES = "agent 2 does not answer"
    TWO_NOT_READY = "agent 2 is not ready"
    OUTSIDER = "outsider hangs up"
    OUTSIDER_BUSY = "outsider is busy"
    OUTSIDER_DECLINES = "outsider declines"
    OUTSIDER_MISSES = "outsider does not answer"
    API = "API hangs up"
    LINK = "AMI link cut and back"
    ACTION_LOST = "AMI link cut, the action lost"
    ANSWER_LOST = "AMI link cut, the answer lost"


UNREACHED = {
    Failure.CUSTOMER_BUSY: "busy",
    Failure.CUSTOMER_DECLINES: "declined",
    Failure.CUSTOMER_MISSES: "no_answer",
}
"""Why a customer whom we call is not reached -> the outcome."""

ON_THE_WAY = (Failure.TWO_NOT_READY, Failure.ACTION_LOST, Failure.ANSWER_LOST)
"""What happens while the step is taken, and not afterwards."""


def possible(step: Step, failure: Failure) -> bool:
    """Whether that can happen at a step at all."""
    place = step.place
    return {
        Failure.CUSTOMER: place.customer not in NOT_REACHED,
        Failure.CUSTOMER_BUSY: place.customer is At.RUNG,
        Failure.CUSTOMER_DECLINES: place.customer is At.RUNG,
        Failure.CUSTOMER_MISSES: place.customer is At.RUNG,
        Failure.ONE: place.one in ON_A_LEG,
        Failure.ONE_DECLINES: place.one is Is.RINGS,
        Failure.ONE_MISSES: place.one is Is.RINGS,
        Failure.TWO: place.two in (*ON_A_LEG, Is.LISTENS),
        Failure.TWO_DECLINES: place.two is Is.RINGS,
        Failure.TWO_MISSES: place.two is Is.RINGS,
        Failure.TWO_NOT_READY: step.asks_two,
        Failure.OUTSIDER: place.outside in ON_A_LEG,
        Failure.OUTSIDER_BUSY: place.outside is Is.RINGS,
        Failure.OUTSIDER_DECLINES: place.outside is Is.RINGS,
        Failure.OUTSIDER_MISSES: place.outside is Is.RINGS,
        Failure.ACTION_LOST: not (step.dials_at_once or step.by_itself),
        Failure.ANSWER_LOST: not step.by_itself,
    }.get(failure, True)


def expected(place: Place, failure: Failure) -> Place:
    """Where everybody must be after a failure at ``place``; of TWO_NOT_READY, the place before the step that asks."""
    match failure:
        case Failure.CUSTOMER:
            return _over(place, "caller")
        case Failure.API:
            return _over(place, "api")
        case Failure.CUSTOMER_BUSY | Failure.CUSTOMER_DECLINES | Failure.CUSTOMER_MISSES:
            return evolve(_over(place, "network"), outcome=UNREACHED[failure])
        case Failure.ONE:
            return _one_leaves(evolve(place, one=Is.WRAPS_UP))
        case Failure.TWO:
            return _two_leaves(evolve(place, two=Is.NOT_READY if place.two is Is.LISTENS else Is.WRAPS_UP))
        case Failure.OUTSIDER:
            return _outsider_leaves(evolve(place, outside=Is.AWAY))
        case Failure.ONE_DECLINES:
            return _one_is_not_had(place, Is.READY)
        case Failure.ONE_MISSES:
            return _one_is_not_had(place, Is.NOT_READY)
        case Failure.TWO_DECLINES:
            return evolve(place, two=Is.READY)
        case Failure.TWO_MISSES:
            return evolve(place, two=Is.NOT_READY)
        case Failure.OUTSIDER_BUSY | Failure.OUTSIDER_DECLINES | Failure.OUTSIDER_MISSES:
            return evolve(place, outside=Is.AWAY)
        case _:
            return place


def _over(place: Place, by: str) -> Place:
    """The contact has ended: who had talked with the customer wraps up, who was only rung is free."""
    after = {Is.RINGS: Is.READY, Is.TALKS: Is.WRAPS_UP, Is.WAITS: Is.WRAPS_UP, Is.LISTENS: Is.NOT_READY}
    if place.customer in NOT_REACHED:
        return Place(At.GONE, Is.READY, place.two, ended_by=by, outcome="cancelled")
    return Place(At.GONE, after.get(place.one, place.one), after.get(place.two, place.two), ended_by=by)


def _one_is_not_had(place: Place, one: Is) -> Place:
    """Who was rung for the customer is not there: that is the end of a call whose customer was not dialled yet."""
    if place.customer is At.UNCALLED:
        return evolve(_over(place, "agent"), one=one, outcome="no_agent")
    return evolve(place, one=one)


def _one_leaves(place: Place) -> Place:
    """Who is asked gets the customer, now or by answering; else the customer is first in line, or where it was."""
    if place.two in ON_A_LEG:
        return evolve(place, customer=At.TWO, two=Is.TALKS)
    if place.outside in ON_A_LEG:
        return evolve(place, customer=At.OUTSIDE, outside=Is.TALKS)
    if place.customer in (At.ONE, At.RUNG):
        return _over(place, "agent")
    return place


def _two_leaves(place: Place) -> Place:
    """Who has the customer hangs up on the customer; who was only asked leaves the customer where it was."""
    if place.customer is At.TWO:
        return _over(place, "agent")
    if place.customer is At.BOTH:
        return evolve(place, customer=At.ONE)
    return place if place.customer is At.ONE else evolve(place, one=Is.WAITS)


def _outsider_leaves(place: Place) -> Place:
    """The same of somebody outside."""
    if place.customer is At.OUTSIDE:
        return _over(place, "outside")
    return place if place.customer is At.ONE else evolve(place, one=Is.WAITS)


@frozen
class Step:
    """One step of a flow: a name, how it is done (given the stage of one cell), and the place it leads to."""

    name: str
    do: Callable[[Any], Awaitable[None]]
    place: Place
    asks_two: bool = False
    """It needs agent 2, and is refused while that one is not ready."""
    dials_at_once: bool = False
    """The first thing it does is to dial, for one who asks: that is not done again when it was lost."""
    seconds: float = 0.0
    """How long it takes, of one that comes by the clock or with the end of something; 0: of any other."""
    by_itself: bool = False
    """Nobody asks for it: what the link loses at its moment cannot be chosen."""


@frozen
class Cell:
    """A failure in the last of some steps."""

    flow: str
    steps: tuple[Step, ...]
    failure: Failure

    @property
    def step(self) -> Step:
        """Where it happens."""
        return self.steps[-1]

    @property
    def seconds(self) -> float:
        """How long the way to its step takes, but for what takes no time to speak of."""
        return sum(step.seconds for step in self.steps)

    @property
    def way(self) -> str:
        """The steps from the beginning of the talk, or the one before it."""
        talk = next((number for number, step in enumerate(self.steps, 1) if step.place.customer is At.ONE), None)
        return " > ".join(step.name for step in self.steps[talk:] or self.steps[-1:])

    @property
    def expected(self) -> Place:
        """Where everybody must be afterwards."""
        if self.failure is Failure.TWO_NOT_READY:
            return self.steps[-2].place
        return expected(self.step.place, self.failure)


def cells(flows: Mapping[str, Sequence[Step]]) -> Iterator[Cell]:
    """Every failure in every step of every flow; a step that another flow begins with, too, is that one's."""
    seen: set[tuple[Step, ...]] = set()
    for flow, steps in flows.items():
        for path in accumulate((step,) for step in steps):
            if path in seen:
                continue
            seen.add(path)
            yield from (Cell(flow, path, failure) for failure in Failure if possible(path[-1], failure))


class Results:
    """What came of each cell, on each PBX."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str, str, str], dict[str, str]] = {}

    def __bool__(self) -> bool:
        return bool(self._rows)

    def take(self, pbx: str, cell: Cell, result: str) -> str:
        """Note a result; its line of the table."""
        key = (cell.flow, cell.way, str(cell.failure), str(cell.expected))
        self._rows.setdefault(key, {})[pbx] = result
        return _line((*key, result, pbx))

    def rows(self) -> list[tuple[tuple[str, str, str, str], dict[str, str]]]:
        """All of them, as plain data."""
        return list(self._rows.items())

    def join(self, rows: Iterable[tuple[tuple[str, str, str, str], dict[str, str]]]) -> None:
        """Add what another process found."""
        for key, found in rows:
            self._rows.setdefault(key, {}).update(found)

    def lines(self) -> Iterable[str]:
        """The table."""
        yield _line(("flow", "step", "what happens", "expected", "simulator", "asterisk"))
        for (flow, way, failure, place), found in self._rows.items():
            yield _line((flow, way, failure, place, found.get("simulator", "-"), found.get("asterisk", "-")))

    def summary(self) -> str:
        """How many cells went well."""
        counts = []
        for pbx in ("simulator", "asterisk"):
            found = [row[pbx] for row in self._rows.values() if pbx in row]
            counts.append(f"{pbx} {found.count('ok')} of {len(found)} ok")
        return f"matrix of {len(self._rows)} cells: {', '.join(counts)}"


def _line(words: Sequence[str]) -> str:
    return " | ".join(words)
