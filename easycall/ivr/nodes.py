"""What an IVR flow is made of: its nodes.  Those that ask for values are in :mod:`easycall.ivr.capture`.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from attrs import field, frozen

from easycall.ivr.capture import BranchNode, CallbackNode, CollectNode, PostNode, ReturnNode, SealNode, TransactionNode
from easycall.ivr.function import Function
from easycall.ivr.prompt import Prompt
from easycall.ivr.values import Text

__all__ = [
    "KEYS",
    "Asks",
    "Choice",
    "Fault",
    "FaxNode",
    "Flow",
    "FlowError",
    "HangUpNode",
    "HoursNode",
    "MenuNode",
    "Node",
    "QueueNode",
    "SayNode",
    "VoicemailNode",
]

KEYS = "0123456789*#"
"""The keys of a telephone."""


@frozen
class Fault:
    """One thing that is wrong with a flow."""

    file: str
    line: int
    """Counted from 1; 0 when the fault is not on one line."""
    where: str
    """The node, and the part of it; ``""`` for the file as a whole."""
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.where}: {self.message}" if self.where else f"{place}: {self.message}"


class FlowError(Exception):
    """Flows that must not be used, with every fault found in them."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = tuple(faults)


@frozen
class Choice:
    """What one key of a menu means."""

    name: str
    """What the record and the agent's screen show; the key itself is never kept."""
    next: str
    language: str = ""
    """The language the caller hears from here; ``""``: as before."""


@frozen
class SayNode:
    """Plays prompts and goes on."""

    prompts: tuple[Prompt, ...]
    next: str
    line: int = field(default=0, eq=False)


@frozen
class MenuNode:
    """Asks for one key."""

    prompts: tuple[Prompt, ...]
    choices: Mapping[str, Choice]
    otherwise: str
    """Where a caller goes who made no choice in all tries."""
    invalid: tuple[Prompt, ...] = ()
    """Heard after a key that is no choice, before the menu is repeated."""
    retries: int = 2
    """How often the menu is repeated."""
    timeout: float = 5.0
    """Seconds of silence after the prompts that count as a try."""
    line: int = field(default=0, eq=False)


_NOTHING = Text(())


@frozen
class Asks:
    """What a caller asks for in a queue, beside what the queue does: texts that may use values; empty: nothing."""

    skills: Text = _NOTHING
    """An expression of skills."""
    priority: Text = _NOTHING
    """Seconds of waiting that the caller is ahead."""
    owner: Text = _NOTHING
    """The agent whose caller it is."""

    @property
    def texts(self) -> Mapping[str, Text]:
        """All of them, by what they ask for."""
        return {"skills": self.skills, "priority": self.priority, "owner": self.owner}


@frozen
class QueueNode:
    """Hands the caller to a queue."""

    queue: str
    keys: Mapping[str, Choice] = field(factory=dict)
    """What a caller may press while waiting, and where that leads."""
    asks: Asks = field(factory=Asks)
    line: int = field(default=0, eq=False)


@frozen
class VoicemailNode:
    """Lets the caller leave a message in a box."""

    box: str
    line: int = field(default=0, eq=False)


@frozen
class FaxNode:
    """Receives a fax into a box and goes on."""

    box: str
    next: str
    otherwise: str
    """Where a caller goes from whom no page came, or for whom no line was free."""
    line: int = field(default=0, eq=False)


@frozen
class HoursNode:
    """Goes on by opening hours."""

    hours: str
    open: str
    closed: str
    line: int = field(default=0, eq=False)


@frozen
class HangUpNode:
    """Ends the call."""

    line: int = field(default=0, eq=False)


Node: TypeAlias = (
    SayNode
    | MenuNode
    | QueueNode
    | VoicemailNode
    | FaxNode
    | HoursNode
    | HangUpNode
    | CollectNode
    | SealNode
    | PostNode
    | BranchNode
    | ReturnNode
    | TransactionNode
    | CallbackNode
)


@frozen
class Flow:
    """A whole flow."""

    name: str
    start: str
    nodes: Mapping[str, Node]
    function: Function | None = None
    """What it takes and gives, if it is a function."""

    @property
    def confidential(self) -> bool:
        """What passes in it is between the caller and the flow: a function, or one that asks for something secret."""
        secret = any(isinstance(node, CollectNode) and node.secret for node in self.nodes.values())
        return self.function is not None or secret

    def prompts(self) -> Iterator[Prompt]:
        """Every prompt a caller may hear."""
        for node in self.nodes.values():
            match node:
                case SayNode():
                    yield from node.prompts
                case MenuNode() | CollectNode():
                    yield from (*node.prompts, *node.invalid)
