"""What is asked of callbacks: a new one, or a change of one."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import asdict, field, frozen

from easycall.model import CallbackSource

__all__ = ["Change", "Wish"]


@frozen
class Wish:
    """Somebody is to be called back.  Times are seconds since the epoch."""

    queue: str
    number: str
    """As typed."""
    source: CallbackSource
    due: float = 0.0
    """Not before; 0: now."""
    expires: float = 0.0
    """Not after; 0: as the queue says."""
    since: float = 0.0
    """Since when it counts as waiting: the place the caller had; 0: it has none."""
    agent: str = ""
    """Whose it is; empty: anybody's."""
    name: str = ""
    zone: str = ""
    """The customer's time zone; empty: as the number tells."""
    skills: str = ""
    priority_seconds: float = 0.0
    reason: str = ""
    waited: float = 0.0
    """How long the customer waited before, in seconds."""
    answers: Mapping[str, str] = field(factory=dict)
    data: Mapping[str, str] = field(factory=dict)
    session: str = ""
    """The id of the first contact of the matter; empty: there is none."""
    contact: str = ""
    """The contact that led to it; empty: none did."""
    by: str = ""
    """The name of the API token, or the agent; empty: the daemon itself."""


@frozen
class Change:
    """What is to be different; None: as before."""

    due: float | None = None
    expires: float | None = None
    queue: str | None = None
    agent: str | None = None
    """Whose it is; empty: anybody's."""
    priority_seconds: float | None = None
    reason: str | None = None
    name: str | None = None
    zone: str | None = None

    @property
    def values(self) -> Mapping[str, float | str | None]:
        """All of them, by what they change."""
        return asdict(self)
