"""A day as it was, once more as configured, and under another policy, side by side.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from attrs import field, frozen

from easycall.acd.replay.day import Clocked, Day, Ending, Fate
from easycall.acd.replay.desk import Changed
from easycall.acd.replay.figures import AgentFigures, QueueFigures, average, average_of_agents, of_agents, of_queues
from easycall.acd.replay.patience import conducts
from easycall.acd.replay.rerun import Rerun
from easycall.policy import QueuePolicy
from easycall.skills import Requirement

__all__ = ["AS_CONFIGURED", "AS_IT_WAS", "Account", "Dice", "Rules", "compare", "unconfigured"]

AS_IT_WAS = "as it was"
AS_CONFIGURED = "as configured"

Dice = Callable[[int], Callable[[], float]]
"""The number of a run -> its dice, which give numbers from 0 to 1, 1 excluded."""


@frozen
class Rules:
    """Who gets what."""

    name: str
    queues: Mapping[str, QueuePolicy]
    agents: Mapping[str, Changed] = field(factory=dict)
    """What is different of agents from what they were that day."""


@frozen
class Account:
    """What a day came to."""

    name: str
    queues: Mapping[str, QueueFigures]
    agents: Mapping[str, AgentFigures]


def compare(
    day: Day,
    rules: Sequence[Rules],
    dice: Dice,
    *,
    threshold: float,
    runs: int = 1,
    tell: Callable[[float], None] = lambda share: None,
) -> list[Account]:
    """What the day came to as it was, and then under each of the rules, averaged over so many runs.

    The first rules are those of the configuration.  In a run the same people do the same under all rules.  ``tell`` hears
    which share of the work is done.
    """
    accounts = [_account(day, AS_IT_WAS, rules[0], {}, day.fates, day.clocked, threshold)]
    found: list[list[Account]] = [[] for _ in rules]
    for run in range(runs):
        people = conducts(day, dice(run))
        for number, one in enumerate(rules):
            begun = run * len(rules) + number
            policies = {**{queue: QueuePolicy(queue) for queue in _queues(day)}, **one.queues}
            passed = Rerun(day, people, policies.values(), one.agents).pass_again(
                partial(_tell_part, tell, begun, runs * len(rules))
            )
            found[number].append(_account(day, one.name, rules[0], one.agents, passed.fates, passed.clocked, threshold))
    return [
        *accounts,
        *(
            Account(some[0].name, average([one.queues for one in some]), average_of_agents([one.agents for one in some]))
            for some in found
        ),
    ]


def _tell_part(tell: Callable[[float], None], begun: int, parts: int, share: float) -> None:
    tell((begun + share) / parts)


def _account(
    day: Day,
    name: str,
    configured: Rules,
    changed: Mapping[str, Changed],
    fates: Mapping[str, Fate],
    clocked: Mapping[str, Clocked],
    threshold: float,
) -> Account:
    def skills_of(agent: str, moment: float) -> Mapping[str, int]:
        other = changed[agent].skills if agent in changed else None
        if other is not None:
            return other
        return day.agents[agent].skills_at(moment) if agent in day.agents else {}

    requires: dict[str, Requirement] = {queue: policy.requires for queue, policy in configured.queues.items()}
    return Account(name, of_queues(day, fates, requires, skills_of, threshold), of_agents(day, fates, clocked))


def _queues(day: Day) -> set[str]:
    return {stay.queue for stay in day.stays}


def unconfigured(day: Day, rules: Rules, agents: Mapping[str, object]) -> list[str]:
    """What that day had and the configuration has not, in words, with what is taken for it."""
    found = [
        f"queue {queue} is not in the configuration any more: it is replayed without skills or rings, the longest idle first"
        for queue in sorted(_queues(day) - rules.queues.keys())
    ]
    there = {agent for agent, told in day.agents.items() if told.presence} - agents.keys()
    found += [
        f"agent {agent} is not in the configuration any more: skills are known only from changes in the journal"
        for agent in sorted(there)
    ]
    if day.no_calls:
        found.append(
            f"{day.no_calls} chats, messages and other work without a call are not replayed: who had one took no call"
        )
    if day.kept_out:
        found.append(f"{day.kept_out} contacts were not let into a queue by a rule: they are not replayed")
    waiting = sum(fate.how is Ending.WAITING for fate in day.fates.values())
    if waiting:
        found.append(f"of {waiting} stays no end is known: they are taken for callers who would have waited on")
    return found
