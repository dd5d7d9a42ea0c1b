"""What is known of a day: who came to which queue, who was there to serve, and what became of it.  Pure data.

Times are seconds since the epoch, durations seconds.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from enum import StrEnum

from attrs import define, field, frozen

from easycall.model import AgentState
from easycall.policy import Channel

__all__ = ["AgentDay", "Clocked", "Day", "Doing", "Duty", "Ending", "Fate", "Presence", "Stay", "Unanswered"]


class Ending(StrEnum):
    """How a stay in a queue ended."""

    ANSWERED = "answered"
    ABANDONED = "abandoned"
    """The caller hung up."""
    LEFT = "left"
    """By a rule of the queue, by a key of the caller's, or as something failed."""
    WAITING = "waiting"
    """Not at all as far as is known."""
    SPARED = "spared"
    """It did not come to be: it followed from an earlier stay that ended differently this time."""


@frozen
class Stay:
    """One stay of a contact in a queue, and what it asked for."""

    id: str
    contact: str
    queue: str
    at: float
    """When it came."""
    since: float
    """Since when it counts as waiting."""
    channel: Channel = Channel.CALL
    skills: str = ""
    offset: float = 0.0
    owner: str = ""
    owner_until: float = 0.0
    pbx: str = ""
    follows: str = ""
    """The stay of the same contact before it: one it overflowed or was transferred from."""
    carried: bool = False
    """It came before the day and waited when the day began: it is in the line, and in no figure."""


@frozen
class Fate:
    """What became of a stay."""

    how: Ending
    at: float
    """When: of one that was answered, when the talk began."""
    agent: str = ""
    reserved: float = 0.0
    """When the agent who answered was reserved: the phone rang from then."""
    parted: float = 0.0
    """When they parted; 0: not as far as is known."""
    freed: float = 0.0
    """When the agent's wrap-up was over; 0: not as far as is known."""


@frozen
class Unanswered:
    """An offer of a stay to an agent that came to nothing while the caller waited on."""

    seconds: float
    """How long the agent was kept by it."""
    refused: float
    """How long it was not offered again to that agent."""


@frozen
class Presence:
    """What an agent is, or will be when the present contact is done, from a moment on."""

    at: float
    state: AgentState
    """Ready, not ready or offline."""
    queues: tuple[str, ...] = ()
    hindered: bool = False
    """Nothing is offered though ready: a private call, a phone or a desktop that is gone."""


@frozen
class Duty:
    """What kept an agent busy that no queue gave out: a call out, a consultation, a supervision."""

    at: float
    seconds: float
    contact: bool = True
    """It was a contact: no supervision."""
    talked: bool = False
    """There was a talk: whoever was longest idle begins anew."""


@define
class AgentDay:
    """One agent's day; each list is in the order of time."""

    presence: list[Presence] = field(factory=list)
    duties: list[Duty] = field(factory=list)
    skills: list[tuple[float, Mapping[str, int]]] = field(factory=list)
    """Since when, and what the agent can do."""
    idle_since: float = 0.0
    """What "longest idle" compares when the day begins; 0: not known."""

    def skills_at(self, moment: float) -> Mapping[str, int]:
        """What the agent could do then."""
        known = bisect_right(self.skills, moment, key=lambda row: row[0])
        return self.skills[max(0, known - 1)][1] if self.skills else {}


class Doing(StrEnum):
    """What an agent's time goes to, for the figures."""

    CONTACT = "contact"
    """From the reservation to the end of the wrap-up."""
    IDLE = "idle"
    """Ready, and free to take something."""
    ELSE = "else"


@define
class Clocked:
    """An agent's seconds within a day, by what they went to."""

    first: float
    end: float
    contact: float = 0.0
    idle: float = 0.0
    _doing: Doing = Doing.ELSE
    _since: float = 0.0

    def turn(self, doing: Doing, at: float) -> None:
        """The agent does this from then on."""
        passed = max(0.0, min(at, self.end) - max(self._since, self.first))
        if self._doing is Doing.CONTACT:
            self.contact += passed
        elif self._doing is Doing.IDLE:
            self.idle += passed
        self._doing, self._since = doing, at

    @property
    def occupancy(self) -> float | None:
        """Contact time ÷ (contact time + ready idle); None of who was neither."""
        there = self.contact + self.idle
        return self.contact / there if there else None


@frozen
class Day:
    """A span of time, and everything known of it."""

    first: float
    end: float
    """What came from ``first`` on and before ``end`` is counted."""
    last: float
    """Up to when is known what happened."""
    stays: Sequence[Stay]
    """In the order in which they came, those carried over first."""
    fates: Mapping[str, Fate]
    """Stay -> what became of it."""
    unanswered: Mapping[str, Sequence[Unanswered]]
    """Stay -> the offers that were not answered, in order; those that had none are left out."""
    rung: Mapping[str, float]
    """Stay -> how long a phone had rung for it when the caller left; those for whom none rang are left out."""
    agents: Mapping[str, AgentDay]
    clocked: Mapping[str, Clocked]
    """Agent -> the time spent."""
    links: Sequence[tuple[float, str, bool]] = ()
    """When the link to which Asterisk was lost (False) or there again."""
    kept_out: int = 0
    """How many contacts a rule did not let into a queue: they are not replayed."""
