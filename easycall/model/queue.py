"""The queue: a line of waiting contacts, and its rules."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from attrs import Factory, field, frozen

from easycall.hours import Hours
from easycall.model.callback import CallbackRules
from easycall.policy import Channel, QueuePolicy

__all__ = [
    "Closing",
    "DispositionRule",
    "LostAgent",
    "OverflowRule",
    "OverflowTo",
    "OverflowWhen",
    "Queue",
    "QueueEdit",
    "RecordRule",
    "StrategyOutcome",
]


class LostAgent(StrEnum):
    """What becomes of a customer whose agent's phone died in talk."""

    REQUEUE = "requeue"
    """The front place of the queue."""
    HANG_UP = "hang_up"


class RecordRule(StrEnum):
    """Which talks of a queue are recorded."""

    NEVER = "never"
    ON_DEMAND = "on_demand"
    """Those an agent asks for."""
    ALWAYS = "always"
    """All, but those that an agent stops."""


class DispositionRule(StrEnum):
    """Whether an agent says at the end what came of a contact."""

    OFF = "off"
    OPTIONAL = "optional"
    REQUIRED = "required"
    """The agent takes no other contact before."""


class Closing(StrEnum):
    """What becomes of those who wait when their queue closes."""

    SERVE = "serve"
    """They are still served."""
    OVERFLOW = "overflow"
    """They go where those go who come later."""


class StrategyOutcome(StrEnum):
    """What came of asking a strategy for an agent; but for the first two the queue's own choice holds."""

    AGREED = "agreed"
    """It left the choice to the queue, or named the same agent."""
    FOLLOWED = "followed"
    """It named another agent, who got the contact."""
    NOT_FREE = "not_free"
    """It named another agent, who was not free any more."""
    WRONG = "wrong"
    """It answered something that is no agent of the case."""
    TIMED_OUT = "timed_out"
    FAILED = "failed"
    RESTING = "resting"
    """It was not asked, because it failed again and again."""


class OverflowWhen(StrEnum):
    """When a rule of a queue takes a contact out of the line, or does not let it in."""

    CLOSED = "closed"
    FULL = "full"
    """So many wait already as may."""
    NOBODY_LOGGED_IN = "nobody_logged_in"
    """No agent who serves the queue is logged in."""
    NOBODY_ELIGIBLE = "nobody_eligible"
    """None is ready or will be when the present contact is done, with a phone and a desktop that are there."""
    WAITED = "waited"
    """It has waited so long, in all queues it overflowed from together."""
    EXPECTED_WAIT = "expected_wait"
    """It would have to wait so long from now, as far as that can be told."""


class OverflowTo(StrEnum):
    """Where a rule of a queue sends a contact."""

    QUEUE = "queue"
    VOICEMAIL = "voicemail"
    FLOW = "flow"
    HANG_UP = "hang_up"


@frozen
class OverflowRule:
    """One rule of a queue; of all that apply the first counts."""

    when: OverflowWhen
    to: OverflowTo
    target: str = ""
    """The queue, box or flow; empty: hang up."""
    seconds: float = 0.0
    """How long, of the rules about waiting."""
    say: str = ""
    """A text, or ``sound:NAME``, that is heard before the call is hung up."""

    @property
    def place(self) -> str:
        """Where it sends a contact, as it is written: ``queue:backup``."""
        return f"{self.to}:{self.target}" if self.target else self.to.value


@frozen
class Queue:
    """A line of waiting contacts, with its rules."""

    id: str
    name: str
    ring_seconds: float = 20.0
    """How long an agent's phone rings before the next agent is tried."""
    wrap_up_seconds: float = 10.0
    wrap_up_extend_seconds: float = 300.0
    """By how much an agent may extend a wrap-up, in all."""
    disposition: DispositionRule = field(default=DispositionRule.OFF, converter=DispositionRule)
    dispositions: tuple[str, ...] = ()
    """What may come of a contact."""
    disposition_seconds: float = 60.0
    """How long after the wrap-up a required disposition is waited for before the agent is made not ready."""
    music: str = "default"
    """Asterisk's music-on-hold class heard while waiting."""
    busy_prompt: str = ""
    """What a caller hears once when nobody is free; empty: music at once."""
    busy_repeat_seconds: float = 30.0
    """How often the busy prompt is repeated; 0: never."""
    record: RecordRule = RecordRule.NEVER
    """Whether its talks are recorded."""
    caller_id: str = ""
    """The number shown to whom its agents dial; empty: the trunk's."""
    announce_position: bool = False
    """Whether a waiting caller is told the place in line."""
    announce_wait: bool = False
    """Whether a waiting caller is told the expected wait, as a rounded range, when it is known."""
    announce_seconds: float = 60.0
    """How often."""
    lost_agent: LostAgent = field(default=LostAgent.REQUEUE, converter=LostAgent)
    """What becomes of a customer whose agent's phone died in talk."""
    hours: Hours | None = None
    """When it is open; None: always."""
    closing: Closing = field(default=Closing.SERVE, converter=Closing)
    """What becomes of those who wait when it closes."""
    max_waiting: int = 0
    """How many may wait; 0: as many as come."""
    max_wait_seconds: float = 14400.0
    """How long one may wait before the call is hung up."""
    max_wait_prompt: str = ""
    """What is heard then."""
    owner_seconds: float = 20.0
    """How long a contact waits for the agent alone whom a flow or attached data names as its owner."""
    last_agent_seconds: float = 0.0
    """How long one waits for the agent alone who talked last with the number; 0: anybody takes it at once."""
    last_agent_days: float = 7.0
    """How long after that talk."""
    last_agent_any_queue: bool = False
    """Whether the talk may have been of another queue."""
    redial_seconds: float = 0.0
    """How long after an abandoned call the same number has its place back; 0: never."""
    overflow: tuple[OverflowRule, ...] = ()
    callback: CallbackRules = field(factory=CallbackRules)
    strategy: str = ""
    """The strategy that is asked which of the idle agents gets a contact; empty: none, the queue chooses by itself."""
    service_level: Mapping[Channel, float] = field(factory=dict, hash=False)
    """Kind of work -> within how many seconds it is to be answered, where that is not as usual."""
    routing: QueuePolicy = field(default=Factory(lambda queue: QueuePolicy(queue.id), takes_self=True))
    """Which agents may have its contacts, who of them is chosen, and which contact goes first."""

    @property
    def rules(self) -> tuple[OverflowRule, ...]:
        """The overflow rules, with the longest wait as the last one."""
        longest = self.max_wait_seconds
        return (*self.overflow, OverflowRule(OverflowWhen.WAITED, OverflowTo.HANG_UP, "", longest, self.max_wait_prompt))

    @property
    def announces(self) -> bool:
        """Whether a waiting caller is told anything of the wait."""
        return self.announce_position or self.announce_wait


@frozen
class QueueEdit:
    """What was changed of a queue while the daemon ran, and is kept."""

    queue: str
    changed: Mapping[str, Any]
    """Option -> value, as in the configuration."""
    at: float = 0.0
    by: str = ""
    """The name of the API token."""
