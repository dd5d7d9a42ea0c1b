"""What becomes of a contact next, when it leaves a flow or an agent."""

from __future__ import annotations

from typing import TypeAlias

from attrs import frozen

from easycall.acd.distributor import Assignment

__all__ = ["Course", "Reach", "RunFlow", "Wait"]


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
    """The agent who sends it."""


Course: TypeAlias = RunFlow | Wait | Reach | None
"""None: the contact ends."""
