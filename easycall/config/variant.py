"""Another policy: a TOML file that holds what is different from the configuration in who gets what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from easycall.config.queues import changed_routing, routing_contradictions
from easycall.config.schema import ID, SCHEMA
from easycall.config.settings import Config
from easycall.config.toml import Document, Entries, Schema
from easycall.policy import QueuePolicy

__all__ = ["Variant", "read_variant"]

QUEUE_OPTIONS = ("skills", "prefers", "order", "first_agents", "ring_all_agents", "priority_seconds", "max_talks")
AGENT_OPTIONS = ("queues", "skills")


def _some(section: str, options: tuple[str, ...]) -> dict[str, Any]:
    of_section = SCHEMA[section]
    if isinstance(of_section, Entries):
        raise TypeError(f"{section} has entries of the operator's own")
    return {option: of_section[option] for option in options}


VARIANT: Schema = {
    "queues": _some("queues", QUEUE_OPTIONS),
    "queues.*.rings": SCHEMA["queues.*.rings"],
    "agents": _some("agents", AGENT_OPTIONS),
}
"""What may stand in it, and no more: what else a configuration holds does not decide who gets what."""


@frozen
class Variant:
    """What is different."""

    queues: Mapping[str, QueuePolicy]
    """Queue -> its whole policy; only of those that are in the file."""
    agents: Mapping[str, Mapping[str, Any]]
    """Agent -> ``queues`` and ``skills``, as far as they are in the file."""


def read_variant(path: Path, config: Config) -> Variant:
    """The file at ``path`` beside a configuration.  Raises ConfigError with every fault."""
    document = Document.read(path, VARIANT, alone=True)
    queues = {
        name: changed_routing(document, config.queues[name].routing)
        for name in document.names("queues", ID)
        if _there(document, "queues", name, config.queues)
    }
    agents = {
        name: document.section(f"agents.{name}")
        for name in document.names("agents", ID)
        if _there(document, "agents", name, config.agents)
    }
    variant = Variant(queues, agents)
    for key, allowed in _contradictions(config, variant):
        document.fault(key, allowed)
    document.check(variant)
    return variant


def _there(document: Document, family: str, name: str, known: Mapping[str, object]) -> bool:
    if name not in known:
        document.fault(f"{family}.{name}", f"is not in the configuration; {_named(known)}")
    return name in known


def _contradictions(config: Config, variant: Variant) -> Iterator[tuple[str, str]]:
    for policy in variant.queues.values():
        yield from routing_contradictions(config, policy)
    for agent, changed in variant.agents.items():
        for queue in sorted(set(changed.get("queues", ())) - config.queues.keys()):
            yield f"agents.{agent}.queues", f"there is no queue {queue!r}; {_named(config.queues)}"


def _named(known: Mapping[str, object]) -> str:
    return f"there are {', '.join(sorted(known))}" if known else "there is none"
