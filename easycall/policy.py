"""What the waiting room is told: kinds of items, how a queue chooses, what an agent can take.  Nouns of :mod:`easycall.acd`.

All are frozen attrs classes that a configuration can be decoded into.  Times are seconds since the epoch, durations seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from itertools import pairwise
from typing import Any

from attrs import Attribute, field, frozen

from easycall.skills import ANYBODY, Requirement

__all__ = [
    "AT_DESK",
    "ONE_AT_A_TIME",
    "PATIENT",
    "RINGS",
    "WRITTEN",
    "AgentOrder",
    "Asked",
    "Candidate",
    "Capacity",
    "Case",
    "Channel",
    "Profile",
    "QueuePolicy",
    "Ring",
    "WorkItem",
]

RINGS = 6
"""How often an item may be relaxed."""


class Channel(StrEnum):
    """What kind of work an item is."""

    __hash__ = str.__hash__  # an Enum's own is Python, and every decision looks something up by channel

    CALL = "call"
    CALLBACK = "callback"
    """A caller who is called back keeps the place."""
    CALL_ME = "call_me"
    """Somebody on a web page wants to be called."""
    CHAT = "chat"
    MESSAGE = "message"
    VOICEMAIL = "voicemail"
    FAX = "fax"


class AgentOrder(StrEnum):
    """Which of the idle agents who may take an item is chosen; ties by who is idle longer, then by id."""

    LONGEST_IDLE = "longest_idle"
    LEAST_OCCUPIED = "least_occupied"
    """The smallest share of the time since log-in spent with contacts, as of when the agent became free."""
    HIGHEST_LEVEL = "highest_level"
    """The best grade in the queue's preference."""
    ROUND_ROBIN = "round_robin"
    """Whom this queue gave nothing for longest."""
    FIXED = "fixed"
    """In the order of a list; who is not in it comes last."""
    RING_ALL = "ring_all"
    """Several at once, those who are idle longest, of whom the first to answer has the item."""


@frozen
class Ring:
    """How an item is relaxed when it has waited some time; what earlier rings relaxed stays so."""

    after: float
    """Seconds waited."""
    drop: tuple[str, ...] = ()
    """Skills that are not asked for any more."""
    lower: Mapping[str, int] = field(factory=dict)
    """Skill -> by how much less of it is asked for."""
    groups: tuple[str, ...] = ()
    """Queues whose agents are asked too."""

    def relax(self, requirement: Requirement) -> Requirement:
        """What is required from this ring on."""
        for skill in self.drop:
            requirement = requirement.without(skill)
        for skill, by in self.lower.items():
            requirement = requirement.lowered(skill, by)
        return requirement


def _few_and_rising(_: object, __: Attribute[tuple[Ring, ...]], rings: tuple[Ring, ...]) -> None:
    if len(rings) > RINGS:
        raise ValueError(f"{len(rings)} rings: at most {RINGS} are possible")
    times = [0.0, *(ring.after for ring in rings)]
    if any(later <= earlier for earlier, later in pairwise(times)):
        raise ValueError(
            f"rings after {', '.join(f'{time:g}' for time in times[1:])} s: each must come later than the one before"
        )


def _positive(_: object, attribute: Attribute[Any], value: float | None) -> None:
    if value is not None and not value > 0:
        raise ValueError(f"{attribute.name} {value:g}: must be more than 0")


@frozen
class QueuePolicy:
    """How a queue chooses."""

    id: str
    requires: Requirement = ANYBODY
    prefers: Requirement = ANYBODY
    """What ``highest_level`` grades agents by."""
    rings: tuple[Ring, ...] = field(default=(), validator=_few_and_rising)
    agent_order: AgentOrder = AgentOrder.LONGEST_IDLE
    fixed_order: tuple[str, ...] = ()
    """Agents, for ``fixed``."""
    rate: float = field(default=1.0, validator=_positive)
    """How many points of score a second of waiting is worth."""
    offset: float = 0.0
    """Points every item of the queue has from the beginning."""
    cap: int | None = field(default=None, validator=_positive)
    """How many of its contacts agents may have at once; None: any number."""
    most_rung: int = field(default=5, validator=_positive)
    """How many are rung at once at most, for ``ring_all``."""

    @property
    def at_once(self) -> int:
        """How many agents are rung at once for one item."""
        return self.most_rung if self.agent_order is AgentOrder.RING_ALL else 1

    @property
    def graded(self) -> Requirement:
        """What agents are graded by: the preference, if the order is by level."""
        return self.prefers if self.agent_order is AgentOrder.HIGHEST_LEVEL else ANYBODY


WRITTEN = frozenset({Channel.CHAT, Channel.MESSAGE})
"""What is written: an agent can have several at once."""
AT_DESK = frozenset({*WRITTEN, Channel.VOICEMAIL, Channel.FAX})
"""What is done without the agent's phone: it does not touch the agent's state."""
PATIENT = frozenset({Channel.MESSAGE, Channel.VOICEMAIL, Channel.FAX})
"""Nobody stays on the line or before a screen for these."""


def _beside(mapping: Mapping[Channel, Iterable[Channel]]) -> Mapping[Channel, frozenset[Channel]]:
    return {channel: frozenset(others) for channel, others in mapping.items()}


@frozen(eq=False)
class Capacity:
    """How much an agent takes at once."""

    limits: Mapping[Channel, int] = field(factory=lambda: dict.fromkeys(Channel, 1))
    """Channel -> how many at once; what is not named is not taken."""
    beside: Mapping[Channel, frozenset[Channel]] = field(factory=lambda: dict.fromkeys(WRITTEN, WRITTEN), converter=_beside)
    """Channel -> what the agent may be busy with when such an item is offered.

    By default a chat or a message comes beside others of them, and what is spoken comes beside nothing.
    """
    _known: dict[tuple[Channel, ...], frozenset[Channel]] = field(factory=dict, init=False, repr=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Capacity) and (self.limits, self.beside) == (other.limits, other.beside)

    def __hash__(self) -> int:
        return hash((frozenset(self.limits.items()), frozenset(self.beside.items())))

    def free(self, held: tuple[Channel, ...]) -> frozenset[Channel]:
        """The channels of which another item may be offered to an agent who is busy with these, sorted."""
        found = self._known.get(held)
        if found is None:
            found = self._known[held] = frozenset(channel for channel in self.limits if self._takes(channel, held))
        return found

    def _takes(self, channel: Channel, held: tuple[Channel, ...]) -> bool:
        return held.count(channel) < self.limits[channel] and set(held) <= self.beside.get(channel, frozenset())


ONE_AT_A_TIME = Capacity()
"""What an agent takes of whom nothing else is said."""


@frozen
class Profile:
    """What the waiting room knows of an agent who is logged in."""

    id: str
    queues: frozenset[str]
    skills: Mapping[str, int] = field(factory=dict)
    capacity: Capacity = ONE_AT_A_TIME
    unreachable: frozenset[str] = frozenset()
    """The Asterisks from which the agent's phone cannot be reached."""


@frozen
class Asked:
    """What a flow asks for in a caller's name, as it is written (:mod:`easycall.acd.asking` reads it); empty: nothing."""

    skills: str = ""
    priority: str = ""
    owner: str = ""


@frozen
class WorkItem:
    """Something that waits for an agent, and what it asks for beside what its queue does."""

    contact: str
    queue: str
    enqueued: float
    """Since when it counts as waiting: kept through every failed offer."""
    pbx: str = ""
    """The Asterisk it is on; empty: on none."""
    channel: Channel = Channel.CALL
    requires: Requirement = ANYBODY
    """What this item asks for beside what its queue does."""
    offset: float = 0.0
    """Points of score beside those of its queue: its own priority, the customer's class, a promised time."""
    owner: str = ""
    """The agent to whom alone it belongs until :attr:`owner_until`, while logged in."""
    owner_until: float = 0.0
    refused: Mapping[str, float] = field(factory=dict)
    """Agents who did not take it just now -> until when it is not offered to them again."""
    attempts: int = 0
    """How often an agent was rung for the contact before."""


@frozen
class Candidate:
    """An idle agent who may have an item, as a strategy sees one."""

    id: str
    skills: Mapping[str, int]
    queues: tuple[str, ...]
    idle_seconds: float
    """Since the end of the last contact, or since the log-in."""
    occupancy: float
    """The share of the time since log-in with contacts, 0 to 1, as of when the agent became free."""


@frozen
class Case:
    """What a :class:`easycall.ports.Strategy` decides: an item, and the agents who may have it."""

    contact: str
    queue: str
    channel: Channel
    waited: float
    """Seconds since it counts as waiting."""
    position: int
    """The place in its queue, from 1."""
    score: float
    requires: str
    """The skill expression that counts now, with that of its queue."""
    chosen: Candidate
    """Whom the queue itself would take."""
    others: tuple[Candidate, ...]
    """The next ones, in the queue's order; never empty."""
    caller: str = ""
    """The customer's number; empty when it is withheld."""
    dialled: str = ""
    answers: Mapping[str, str] = field(factory=dict)
    """What the caller chose in the IVR."""
    data: Mapping[str, str] = field(factory=dict)
    """Attached data."""
