"""What becomes of a contact next, when it leaves a flow or an agent."""

from __future__ import annotations

from typing import TypeAlias

from attrs import frozen

from easycall.acd.distributor import Assignment

__all__ = ["Course", "Reach", "RunFlow", "Stay", "TakeMessage", "Wait"]


@frozen
class RunFlow:
    """The contact goes on in a flow."""

    flow: str


@frozen
class Wait:
    """The contact goes on in a queue."""

    queue: str
    enqueued: float | None = None
    """When it joined, for its place in line; None: when it does, behind the others."""


@frozen
class Reach:
    """The contact goes on to one agent, who is reserved; if that comes to nothing, to the front of the queue."""

    assignment: Assignment
    queue: str
    by: str
    """The agent who sends it; empty: nobody does."""
    enqueued: float | None = None
    """Its place in that queue; None: the front."""


@frozen
class Stay:
    """The contact is parked; in the end it goes back to the agent who parked it, or to the front of the queue."""

    queue: str
    by: str


@frozen
class TakeMessage:
    """The contact leaves a message."""

    box: str


Course: TypeAlias = RunFlow | Wait | Reach | Stay | TakeMessage | None
"""None: the contact ends."""
