"""The time an agent has after a talk: how long, how much longer, and what must be done before it ends.  Pure."""

from __future__ import annotations

from typing import Self

from attrs import evolve, frozen

from easycall.model import DispositionRule, Queue
from easycall.verbs import NotNow

__all__ = ["NO_WRAP_UP", "WrapUp", "WrapUpRules"]


@frozen
class WrapUpRules:
    """What holds after a talk."""

    seconds: float = 0.0
    extend_seconds: float = 0.0
    """By how much it may be extended, in all."""
    dispositions: tuple[str, ...] = ()
    """One of these must be given before it ends; empty: none must."""
    disposition_seconds: float = 0.0
    """How long that is waited for when its own time is over."""

    @classmethod
    def of(cls, queue: Queue) -> Self:
        """For an agent who had a customer of the queue."""
        required = queue.dispositions if queue.disposition is DispositionRule.REQUIRED else ()
        return cls(queue.wrap_up_seconds, queue.wrap_up_extend_seconds, required, queue.disposition_seconds)

    @classmethod
    def of_consulted(cls, queue: Queue) -> Self:
        """For an agent who was only asked by another one: what came of the contact is not theirs to say."""
        return cls(queue.wrap_up_seconds, queue.wrap_up_extend_seconds)


NO_WRAP_UP = WrapUpRules()
"""For an agent who has not talked."""


@frozen
class WrapUp:
    """One agent's wrap-up of one contact."""

    rules: WrapUpRules
    began: float
    extended: float = 0.0
    """By so much so far."""
    disposed: bool = False
    """A disposition was given."""

    @classmethod
    def until(cls, ends: float, rules: WrapUpRules, began: float, *, disposed: bool) -> Self:
        """One that began then and is to end then, whoever extended it.

        An end too early for the time in which a disposition is waited for is that of an agent who owes none.
        """
        wrap_up = cls(rules, began, disposed=disposed)
        if wrap_up.missing and ends < wrap_up.ends:
            wrap_up = evolve(wrap_up, rules=evolve(rules, dispositions=()))
        return evolve(wrap_up, extended=max(0.0, ends - wrap_up.ends))

    @property
    def own_end(self) -> float:
        """When its own time is over."""
        return self.began + self.rules.seconds + self.extended

    @property
    def missing(self) -> bool:
        """A disposition must still be given."""
        return bool(self.rules.dispositions) and not self.disposed

    @property
    def ends(self) -> float:
        """When it ends unless something happens; the agent is not ready then if the disposition is still :attr:`missing`."""
        return self.own_end + (self.rules.disposition_seconds if self.missing else 0.0)

    def extend(self, seconds: float, now: float) -> Self:
        """It lasts so much longer, from now on if its own time is over.  Raises NotNow beyond what is allowed in all."""
        late = max(0.0, now - self.own_end)
        left = self.rules.extend_seconds - self.extended - late
        if seconds > left:
            raise NotNow(f"this wrap-up can be extended by {max(0.0, left):.3g} s more, not by {seconds:g} s")
        return evolve(self, extended=self.extended + late + seconds)

    def dispose(self) -> Self:
        """A disposition is given."""
        return evolve(self, disposed=True)

    def check_end(self) -> None:
        """Raises NotNow when it cannot be ended early."""
        if self.missing:
            raise NotNow(f"a disposition comes first, one of: {', '.join(self.rules.dispositions)}")
