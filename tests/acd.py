"""Agents and waiting contacts on a clock that only a test moves."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock

from easycall.acd.distributor import Distributor
from easycall.acd.staff import Staff
from easycall.events import Event
from easycall.model import Agent, AgentState, Queue
from easycall.policy import WorkItem

__all__ = ["QUEUES", "Notes", "item", "ready", "room"]

QUEUES = {"sales": Queue("sales", "Sales"), "support": Queue("support", "Support")}


class Notes:
    """A journal that only keeps."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def record(self, event: Event) -> None:
        self.events.append(event)

    def subscribe(self, listener: Any) -> Any:
        raise NotImplementedError


def item(contact: str, enqueued: float = 0.0, queue: str = "sales", **more: Any) -> WorkItem:
    return WorkItem(contact, queue, enqueued, "main", **more)


def ready(name: str, idle_since: float = 0.0, *queues: str) -> Agent:
    return Agent(name, name, queues or ("sales",), state=AgentState.READY, phone="2001", idle_since=idle_since)


def room(*agents: Agent) -> tuple[Distributor, Clock, Notes]:
    clock, notes = Clock(), Notes()
    return Distributor(QUEUES, Staff(agents, QUEUES, clock, notes), clock, notes), clock, notes
