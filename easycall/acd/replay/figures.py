"""What came of a day, as figures; how each is defined is in :data:`FORMULAS`.  Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from attrs import asdict, frozen

from easycall.acd.replay.day import Clocked, Day, Ending, Fate, Stay
from easycall.skills import ANYBODY, Requirement, both, parse

__all__ = ["FORMULAS", "TOTAL", "AgentFigures", "QueueFigures", "average", "average_of_agents", "of_agents", "of_queues"]

FORMULAS: Mapping[str, str] = {
    "offered": "stays in the queue: answered + abandoned + left + waiting",
    "left": "taken out by a rule of the queue, a key of the caller or a fault",
    "waiting": "neither answered nor gone when what is known ends",
    "service_level": "sl_offered_all: answered within {seconds:g} s / offered",
    "waits": "of the answered, from coming to the queue to the beginning of the talk; p90: what 90 % do not exceed",
    "overtaken": "answered, after a later one of the same queue, channel, skills, priority and owner was given to an agent",
    "skilled": "answered by an agent with all skills that the configured queue and the contact ask for, before any ring "
    "/ answered of those for whom skills are asked",
    "occupancy": "contact time / (contact time + ready idle)",
}
"""Figure -> how it is computed; ``{seconds}`` is the threshold."""

TOTAL = ""
"""The name of all queues together."""

SkillsOf = Callable[[str, float], Mapping[str, int]]
"""Agent and moment -> what the agent can do then."""


@frozen
class QueueFigures:
    """Of one queue, or of all; an average of several runs is not always whole.  None: there was nobody to count."""

    offered: float
    answered: float
    abandoned: float
    left: float
    """By a rule of the queue or a key."""
    waiting: float
    """Neither answered nor gone when everything known was over."""
    service_level: float | None
    mean_wait: float | None
    median_wait: float | None
    p90_wait: float | None
    longest_wait: float | None
    overtaken: float
    skilled: float | None


@frozen
class AgentFigures:
    """Of one agent."""

    contacts: float
    """How many from queues."""
    occupancy: float | None


def of_queues(
    day: Day, fates: Mapping[str, Fate], requires: Mapping[str, Requirement], skills_of: SkillsOf, threshold: float
) -> dict[str, QueueFigures]:
    """Queue -> figures, and of all under :data:`TOTAL`.  ``requires``: queue -> what it asks for as configured."""
    stays = [stay for stay in day.stays if not stay.carried]
    overtaken = _overtaken(stays, fates)
    fitting = _fitting(stays, fates, requires, skills_of)
    by_queue: dict[str, list[Stay]] = {}
    for stay in stays:
        by_queue.setdefault(stay.queue, []).append(stay)
    groups = {**dict(sorted(by_queue.items())), TOTAL: stays}
    return {queue: _figures(some, fates, overtaken, fitting, threshold) for queue, some in groups.items()}


def _figures(
    stays: Sequence[Stay], fates: Mapping[str, Fate], overtaken: set[str], fitting: Mapping[str, bool], threshold: float
) -> QueueFigures:
    endings = [fates[stay.id].how for stay in stays]
    counts = {how: endings.count(how) for how in Ending}
    offered = len(stays) - counts[Ending.SPARED]
    waits = sorted(fates[stay.id].at - stay.at for stay in stays if fates[stay.id].how is Ending.ANSWERED)
    judged = [fitting[stay.id] for stay in stays if stay.id in fitting]
    return QueueFigures(
        offered=offered,
        answered=counts[Ending.ANSWERED],
        abandoned=counts[Ending.ABANDONED],
        left=counts[Ending.LEFT],
        waiting=counts[Ending.WAITING],
        service_level=sum(wait <= threshold for wait in waits) / offered if offered else None,
        mean_wait=math.fsum(waits) / len(waits) if waits else None,
        median_wait=_percentile(waits, 0.5),
        p90_wait=_percentile(waits, 0.9),
        longest_wait=waits[-1] if waits else None,
        overtaken=sum(stay.id in overtaken for stay in stays),
        skilled=sum(judged) / len(judged) if judged else None,
    )


def _percentile(ordered: Sequence[float], share: float) -> float | None:
    """The least of them that so large a share does not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def _overtaken(stays: Iterable[Stay], fates: Mapping[str, Fate]) -> set[str]:
    """The stays that were answered after a later one of equal right."""
    equals: dict[tuple[object, ...], list[Stay]] = {}
    for stay in stays:
        if fates[stay.id].how is Ending.ANSWERED:
            right = (stay.queue, stay.channel, stay.skills, stay.offset, stay.owner, stay.pbx)
            equals.setdefault(right, []).append(stay)
    found = set()
    for line in equals.values():
        line.sort(key=lambda stay: (stay.since, stay.at), reverse=True)
        first = math.inf  # when the first of the later ones was given to an agent
        for stay in line:
            reserved = fates[stay.id].reserved
            if first < reserved:
                found.add(stay.id)
            first = min(first, reserved)
    return found


def _fitting(
    stays: Iterable[Stay], fates: Mapping[str, Fate], requires: Mapping[str, Requirement], skills_of: SkillsOf
) -> dict[str, bool]:
    """Stay -> whether the agent who answered has the skills; those only for which some are asked."""
    known: dict[tuple[str, str], Requirement] = {}
    found = {}
    for stay in stays:
        fate = fates[stay.id]
        asked = stay.queue, stay.skills
        if asked not in known:
            known[asked] = both(requires.get(stay.queue, ANYBODY), parse(stay.skills))
        if fate.how is Ending.ANSWERED and known[asked] != ANYBODY:
            found[stay.id] = known[asked].fits(skills_of(fate.agent, fate.reserved))
    return found


def of_agents(day: Day, fates: Mapping[str, Fate], clocked: Mapping[str, Clocked]) -> dict[str, AgentFigures]:
    """Agent -> figures, of those who were there."""
    contacts: dict[str, int] = {}
    for fate in (fates[stay.id] for stay in day.stays if not stay.carried):
        if fate.how is Ending.ANSWERED:
            contacts[fate.agent] = contacts.get(fate.agent, 0) + 1
    there = {agent for agent, time in clocked.items() if time.occupancy is not None} | contacts.keys()
    return {
        agent: AgentFigures(contacts.get(agent, 0), clocked[agent].occupancy if agent in clocked else None)
        for agent in sorted(there)
    }


# Several runs


def average(runs: Sequence[Mapping[str, QueueFigures]]) -> dict[str, QueueFigures]:
    """Each figure's mean over the runs."""
    return {queue: QueueFigures(**_means([asdict(run[queue]) for run in runs])) for queue in runs[0]}


def average_of_agents(runs: Sequence[Mapping[str, AgentFigures]]) -> dict[str, AgentFigures]:
    """Each figure's mean over the runs; who was never there in one of them had no contacts in it."""
    nothing = AgentFigures(0, None)
    return {
        agent: AgentFigures(**_means([asdict(run.get(agent, nothing)) for run in runs]))
        for agent in sorted({agent for run in runs for agent in run})
    }


def _means(rows: Sequence[Mapping[str, float | None]]) -> dict[str, Any]:
    found: dict[str, float | None] = {}
    for name in rows[0]:
        values = [value for row in rows if (value := row[name]) is not None]
        found[name] = math.fsum(values) / len(values) if values else None
    return found
