"""A queue's routing in the words of the configuration, and changed by them while the daemon runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import evolve

from easycall.config.queues import queue_contradictions, read_routing, routing_options
from easycall.config.schema import SCHEMA
from easycall.config.settings import Config
from easycall.config.toml import Document, Schema
from easycall.model import Queue
from easycall.policy import AgentOrder, Ring

__all__ = ["EDITABLE", "edited", "routing_of"]

NUMBERS = ("ring_seconds", "max_waiting", "max_wait_seconds")
EDITABLE = (
    *("skills", "prefers", "order", "first_agents", "ring_all_agents", "priority_seconds", "max_talks", "rings"),
    *NUMBERS,
)
"""The options of a queue that can be changed while the daemon runs."""
_RINGS = "queues.*.rings"
_SCHEMA: Schema = {
    "queues": {name: option for name, option in SCHEMA["queues"].items() if name in EDITABLE},  # type: ignore[union-attr]
    _RINGS: SCHEMA[_RINGS],
}


def routing_of(queue: Queue) -> dict[str, Any]:
    """What can be changed of a queue, as it would stand in the file."""
    policy = queue.routing
    return {
        **routing_options(policy),
        "order": policy.agent_order.value,
        "first_agents": list(policy.fixed_order),
        "rings": [_ring(ring) for ring in policy.rings],
        **{name: getattr(queue, name) for name in NUMBERS},
    }


def _ring(ring: Ring) -> dict[str, Any]:
    more = {"drop": list(ring.drop), "lower": dict(ring.lower), "queues": list(ring.groups)}
    return {"after": ring.after} | {name: value for name, value in more.items() if value}


def edited(config: Config, queue_id: str, changes: Mapping[str, Any]) -> Queue:
    """A queue of the configuration with some of its options changed, checked as if they stood in the file.

    Raises ConfigError with every fault, KeyError for an unknown queue.
    """
    queue, key = config.queues[queue_id], f"queues.{queue_id}"
    options = routing_of(queue) | dict(changes)
    if options["order"] != AgentOrder.RING_ALL and "ring_all_agents" not in changes:
        options.pop("ring_all_agents", None)
    document = Document(Path(), _SCHEMA, values={"queues": {queue_id: options}})
    section = document.section(key)
    routing = read_routing(document, queue_id, section)
    document.check()
    changed = evolve(queue, routing=routing, **section)
    for place, allowed in queue_contradictions(evolve(config, queues={**config.queues, queue_id: changed})):
        if place.startswith(f"{key}."):
            document.fault(place, allowed)
    document.check()
    return changed
