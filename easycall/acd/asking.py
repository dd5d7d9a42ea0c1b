"""What a caller asks for in a queue, as a flow says it -> what the waiting room is told.  Pure.

A flow is checked when it is loaded, but its values are known only with a caller on the line: what cannot be read then is a
fault that is told, and the caller waits without it.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from attrs import frozen

from easycall.policy import Asked
from easycall.skills import ANYBODY, BadExpression, Requirement, parse

__all__ = ["MOST_PRIORITY", "Wanted", "read_priority", "wanted"]

MOST_PRIORITY = 86_400.0
"""Seconds: a day."""
_SECONDS = re.compile(r"-?[0-9]{1,5}(\.[0-9]{1,3})?")


@frozen
class Wanted:
    """What was understood of it."""

    requires: Requirement = ANYBODY
    priority: float | None = None
    """None: nothing is said of it, and it stays what it was."""
    owner: str = ""
    faults: tuple[tuple[str, str], ...] = ()
    """What was asked for and is left out, and why."""


def wanted(asked: Asked, agents: Collection[str]) -> Wanted:
    """Read it; ``agents``: those there are."""
    requires, priority, owner = ANYBODY, None, asked.owner.strip()
    faults = []
    try:
        requires = _whole(parse(asked.skills))
    except BadExpression as error:
        faults.append(("skills", str(error)))
    try:
        priority = read_priority(asked.priority) if asked.priority.strip() else None
    except ValueError as error:
        faults.append(("priority", str(error)))
    if owner and owner not in agents:
        faults.append(("owner", f"there is no agent {owner[:40]!r}"))
        owner = ""
    return Wanted(requires, priority, owner, tuple(faults))


def _whole(requires: Requirement) -> Requirement:
    """Refuse what comes of ``lang:{language}`` when the value is empty: nobody has that skill.  Raises BadExpression."""
    for skill in sorted(requires.skills()):
        if skill.endswith(":"):
            raise BadExpression(f"skill {skill!r}: something is missing behind the colon")
    return requires


def read_priority(text: str) -> float:
    """Seconds that a caller is ahead; empty is 0.  Raises ValueError."""
    text = text.strip()
    if not text:
        return 0.0
    if not _SECONDS.fullmatch(text) or abs(float(text)) > MOST_PRIORITY:
        raise ValueError(f"{text[:40]!r} must be a number of seconds from -{MOST_PRIORITY:.0f} to {MOST_PRIORITY:.0f}")
    return float(text)
