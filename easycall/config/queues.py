"""Queues and opening hours, as the configuration names them, and what contradicts itself in them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from attrs import evolve

from easycall.config.callback import read_callback
from easycall.config.kinds import there_are
from easycall.config.settings import Config
from easycall.config.toml import Document
from easycall.hours import WEEKDAYS, Hours, Span, public_holidays, weekdays_of
from easycall.model import CallbackRules, Closing, OverflowRule, OverflowTo, OverflowWhen, Queue
from easycall.policy import AgentOrder, Channel, QueuePolicy, Ring
from easycall.skills import ANYBODY, BadExpression, Requirement, parse

__all__ = [
    "changed_routing",
    "queue_contradictions",
    "read_hours",
    "read_queue",
    "read_routing",
    "routing_contradictions",
    "routing_options",
    "strategy_contradictions",
]

OF_ONE_ORDER = frozenset({"prefers", "first_agents", "ring_all_agents"})
"""Options that go with one order of a queue's agents."""
TIMED = frozenset({OverflowWhen.WAITED, OverflowWhen.EXPECTED_WAIT})
"""Rules that need seconds."""


# Reading


def read_hours(document: Document, name: str) -> Hours:
    """One section of ``hours``; what is wrong with it becomes a fault of the document."""
    section, key = document.section(f"hours.{name}"), f"hours.{name}"
    week: dict[int, tuple[Span, ...]] = {}
    for days, spans in document.entries(f"{key}.week").items():
        for day in weekdays_of(days):
            if day in week:
                document.fault(f"{key}.week.{days}", f"{WEEKDAYS[day]} is told twice: once is enough")
            week[day] = spans
    special = {date.fromisoformat(day): spans for day, spans in document.entries(f"{key}.days").items()}
    return Hours(name, section["zone"] or ZoneInfo("UTC"), week, special, _holidays(document, key, section))


def _holidays(document: Document, key: str, section: Mapping[str, Any]) -> Mapping[date, str]:
    country, subdivision = section.get("country", ""), section.get("subdivision", "")
    if subdivision and not country:
        document.fault(f"{key}.subdivision", f"is a part of a country: give {key}.country")
    if not country:
        return {}
    try:
        return public_holidays(country, subdivision)
    except ValueError as error:
        document.fault(f"{key}.{'subdivision' if subdivision else 'country'}", f"no holidays are known for it: {error}")
        return {}


def read_queue(document: Document, name: str, hours: Mapping[str, Hours], callback: CallbackRules) -> Queue:
    """One section of ``queues``; ``callback``: how it calls back as far as it does not say itself."""
    section, key = document.section(f"queues.{name}"), f"queues.{name}"
    named = section.pop("hours", "")
    if named and named not in hours:
        document.fault(f"{key}.hours", f"there are no hours {named!r}; {there_are(hours)}")
    rules = [
        _rule(document, f"{key}.overflow[{number}]", row) for number, row in enumerate(document.rows(f"{key}.overflow"), 1)
    ]
    routing = read_routing(document, name, section)
    return evolve(
        Queue(name, **section),
        hours=hours.get(named),
        overflow=tuple(filter(None, rules)),
        service_level={Channel(kind): seconds for kind, seconds in document.entries(f"{key}.service_level").items()},
        callback=read_callback(document, f"{key}.callback", hours, callback),
        routing=routing,
    )


def changed_routing(document: Document, base: QueuePolicy) -> QueuePolicy:
    """One section of ``queues`` that holds only what is different from ``base``.

    Another ``order`` comes without what went with the one before.
    """
    key = f"queues.{base.id}"
    section = document.section(key)
    routing = routing_options(base)
    if section.get("order", base.agent_order) is not base.agent_order:
        routing = {option: value for option, value in routing.items() if option not in OF_ONE_ORDER}
    policy = read_routing(document, base.id, {**routing, **section})
    return policy if document.given(f"{key}.rings") else evolve(policy, rings=base.rings)


def routing_options(policy: QueuePolicy) -> dict[str, Any]:
    """Options, as they would stand in the configuration, that :func:`read_routing` makes this policy of; but for rings."""
    at_once = {"ring_all_agents": policy.most_rung} if policy.agent_order is AgentOrder.RING_ALL else {}
    return {
        "skills": policy.requires.text,
        "prefers": policy.prefers.text,
        "order": policy.agent_order,
        "first_agents": policy.fixed_order,
        **at_once,
        "priority_seconds": policy.offset,
        "max_talks": policy.cap or 0,
    }


def read_routing(document: Document, name: str, section: dict[str, Any]) -> QueuePolicy:
    """Who gets a queue's contacts; takes what it reads out of the section.  What is wrong becomes a fault."""
    key, at_once = f"queues.{name}", section.pop("ring_all_agents", 0)
    policy = QueuePolicy(
        name,
        requires=_expression(document, f"{key}.skills", section.pop("skills", "")),
        prefers=_expression(document, f"{key}.prefers", section.pop("prefers", "")),
        agent_order=section.pop("order", AgentOrder.LONGEST_IDLE),
        fixed_order=section.pop("first_agents", ()),
        offset=section.pop("priority_seconds", 0.0),
        cap=section.pop("max_talks", 0) or None,
        most_rung=at_once or 5,
    )
    for order, option, given in (
        (AgentOrder.FIXED, "first_agents", policy.fixed_order),
        (AgentOrder.HIGHEST_LEVEL, "prefers", policy.prefers != ANYBODY),
    ):
        if (policy.agent_order is order) != bool(given):
            document.fault(f"{key}.{option}", f'goes with order = "{order}": give both, or none')
    if at_once and policy.agent_order is not AgentOrder.RING_ALL:
        document.fault(f"{key}.ring_all_agents", f'goes with order = "{AgentOrder.RING_ALL}"')
    rings = [
        Ring(row["after"], row.get("drop", ()), row.get("lower", {}), row.get("queues", ()))
        for row in document.rows(f"{key}.rings")
        if row["after"]
    ]
    try:
        return evolve(policy, rings=tuple(rings))
    except ValueError as error:
        document.fault(f"{key}.rings", str(error))
        return policy


def _expression(document: Document, key: str, text: str) -> Requirement:
    try:
        return parse(text)
    except BadExpression as error:
        document.fault(key, str(error))
        return ANYBODY


def _rule(document: Document, key: str, row: Mapping[str, Any]) -> OverflowRule | None:
    if not row["when"] or not row["to"]:
        return None  # a fault already
    to, target = row["to"]
    rule = OverflowRule(row["when"], to, target, row.get("seconds", 0.0), row.get("say", ""))
    if rule.when in TIMED and "seconds" not in row:
        document.fault(f"{key}.seconds", f"is missing: how many seconds, as it is a rule {rule.when.value!r}")
    if rule.when not in TIMED and "seconds" in row:
        document.fault(f"{key}.seconds", f"makes no sense in a rule {rule.when.value!r}, which holds at once")
    if rule.say and rule.to is not OverflowTo.HANG_UP:
        document.fault(f"{key}.say", "is heard before hanging up only: a flow can say it, and a box has its greeting")
    return rule


# Contradictions


def queue_contradictions(config: Config) -> Iterator[tuple[str, str]]:
    """What is right by itself and wrong together: the key, and what is the matter."""
    for queue in config.queues.values():
        yield from _lost(queue)
        yield from routing_contradictions(config, queue.routing)
        for number, rule in enumerate(queue.overflow, 1):
            if trouble := _trouble(config, rule):
                yield f"queues.{queue.id}.overflow[{number}].to", trouble
    ways = {
        queue.id: [rule.target for rule in queue.overflow if rule.to is OverflowTo.QUEUE] for queue in config.queues.values()
    }
    for loop in _loops(ways):
        yield f"queues.{loop[0]}.overflow", f"callers would go round: {' -> '.join([*loop, loop[0]])}"


def strategy_contradictions(config: Config, known: Collection[str]) -> Iterator[tuple[str, str]]:
    """Strategies that queues name and that are none of the known, or would not be asked."""
    for queue in config.queues.values():
        if queue.strategy and queue.strategy not in known:
            yield f"queues.{queue.id}.strategy", f"there is no [strategies.{queue.strategy}]; {there_are(known)}"
        if queue.strategy and queue.routing.agent_order is AgentOrder.RING_ALL:
            yield (
                f"queues.{queue.id}.strategy",
                f'has no say where order = "{AgentOrder.RING_ALL}": leave one out',
            )


def _lost(queue: Queue) -> Iterator[tuple[str, str]]:
    """Callers who would go nowhere, and rules that never hold."""
    given, key = {rule.when for rule in queue.overflow}, f"queues.{queue.id}"
    for when, option, value in (
        (OverflowWhen.CLOSED, "hours", queue.hours),
        (OverflowWhen.FULL, "max_waiting", queue.max_waiting),
    ):
        if value and when not in given:
            yield f"{key}.{option}", f'where do callers go then? Add [[{key}.overflow]] with when = "{when}"'
        if not value and when in given:
            yield f"{key}.overflow", f"a rule {when.value!r} never holds without {key}.{option}"
    if queue.closing is not Closing.SERVE and not queue.hours:
        yield f"{key}.closing", f"a queue never closes without {key}.hours"


def routing_contradictions(config: Config, routing: QueuePolicy) -> Iterator[tuple[str, str]]:
    """Agents and queues that are not there: the key, and what is the matter."""
    for agent in routing.fixed_order:
        if agent not in config.agents:
            yield f"queues.{routing.id}.first_agents", f"there is no agent {agent!r}; {there_are(config.agents)}"
    for number, ring in enumerate(routing.rings, 1):
        for other in ring.groups:
            if other not in config.queues:
                key = f"queues.{routing.id}.rings[{number}].queues"
                yield key, f"there is no queue {other!r}; {there_are(config.queues)}"


def _trouble(config: Config, rule: OverflowRule) -> str:
    """Why a rule leads nowhere; ``""`` when it does not."""
    if rule.to is OverflowTo.QUEUE and rule.target not in config.queues:
        return f"there is no queue {rule.target!r}; {there_are(config.queues)}"
    if rule.to is OverflowTo.VOICEMAIL and rule.target not in config.voicemail.boxes:
        return f"there is no box {rule.target!r} in [voicemail.boxes]; {there_are(config.voicemail.boxes)}"
    return ""  # a flow is looked for with all others


def _loops(ways: Mapping[str, list[str]]) -> list[list[str]]:
    """Every circle once, beginning with the name that stands first."""
    loops: list[list[str]] = []
    done: set[str] = set()

    def walk(way: list[str]) -> None:
        for target in ways.get(way[-1], []):
            if target in way:
                loop = way[way.index(target) :]
                if {*loop} not in [{*known} for known in loops]:
                    loops.append(loop)
            elif target not in done:
                walk([*way, target])
        done.add(way[-1])

    for name in ways:
        if name not in done:
            walk([name])
    return loops
