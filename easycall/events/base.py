"""What every fact has."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

__all__ = ["Event"]


@frozen(kw_only=True)
class Event:
    """Something that happened."""

    kind: ClassVar[str] = ""
    at: float
    contact: str = ""
    agent: str = ""
