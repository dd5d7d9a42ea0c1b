"""What an IVR flow is, and how a caller walks through it: nodes, and ``step(flow, position, said)``.  Pure.

:func:`begin` gives the first position and instruction.  Whoever has a channel carries the instruction out and hands what
came of it to :func:`step`, until the instruction is :class:`ToQueue`, :class:`ToVoicemail`, :class:`Finish` or
:class:`Return`.  Retries and time-outs are decided here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from attrs import evolve, field, frozen

from easycall.ivr.capture import (
    Branch,
    BranchNode,
    Collect,
    CollectNode,
    Keys,
    Post,
    PostNode,
    Return,
    ReturnNode,
    Seal,
    SealNode,
)
from easycall.ivr.function import Function
from easycall.ivr.prompt import Prompt, parse_prompt
from easycall.ivr.values import Text

__all__ = [
    "KEYS",
    "Ask",
    "Asks",
    "Branch",
    "BranchNode",
    "Choice",
    "Collect",
    "CollectNode",
    "Done",
    "Failed",
    "Fault",
    "FaxNode",
    "Finish",
    "Flow",
    "FlowError",
    "Function",
    "HangUpNode",
    "HoursNode",
    "Instruction",
    "Key",
    "Keys",
    "Known",
    "LookAtHours",
    "MenuNode",
    "Node",
    "Position",
    "Post",
    "PostNode",
    "Prompt",
    "QueueNode",
    "Receive",
    "Return",
    "ReturnNode",
    "Said",
    "Say",
    "SayNode",
    "Seal",
    "SealNode",
    "Silence",
    "ToQueue",
    "ToVoicemail",
    "VoicemailNode",
    "begin",
    "chosen",
    "collected",
    "parse_prompt",
    "step",
]

KEYS = "0123456789*#"
"""The keys of a telephone."""


# What a flow is made of


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


# How a caller walks through it


@frozen
class Position:
    """Where a caller is in a flow."""

    node: str
    tries: int = 0
    """How often the menu was heard without a choice."""
    language: str = ""
    """The language chosen by the caller; ``""``: the site's own."""


@frozen
class Say:
    """Play these; a key of ``keys`` cuts them short and is meant for the question that follows."""

    prompts: tuple[Prompt, ...]
    keys: str = ""


@frozen
class Ask:
    """Play these until any key is pressed, then wait ``seconds`` for one."""

    prompts: tuple[Prompt, ...]
    seconds: float


@frozen
class Receive:
    """Receive a fax into a box."""

    box: str


@frozen
class LookAtHours:
    """Tell whether these opening hours are ``open`` or ``closed``."""

    hours: str


@frozen
class ToQueue:
    """The caller waits in this queue: the flow is over, unless one of ``keys`` is pressed."""

    queue: str
    keys: str = ""
    asks: Asks = field(factory=Asks)


@frozen
class ToVoicemail:
    """The flow is over: the caller leaves a message in this box."""

    box: str


@frozen
class Finish:
    """The flow is over: hang up."""


Instruction: TypeAlias = (
    Say | Ask | Receive | LookAtHours | ToQueue | ToVoicemail | Finish | Collect | Seal | Post | Branch | Return
)


@frozen
class Done:
    """It was played to the end, or received."""


@frozen
class Key:
    """The caller pressed a key."""

    key: str = field(repr=False)  # keys never reach a log


@frozen
class Silence:
    """No key came in time."""


@frozen
class Failed:
    """It could not be done."""


@frozen
class Known:
    """The value that was asked for."""

    value: str = field(repr=False)


Said: TypeAlias = Done | Key | Silence | Keys | Failed | Known


def begin(flow: Flow) -> tuple[Position, Instruction]:
    """The first position and what to do there."""
    return _enter(flow, Position(flow.start))


def chosen(flow: Flow, position: Position, said: Said) -> Choice | None:
    """The choice the caller made with ``said``, if it was one."""
    node = flow.nodes[position.node]
    if not isinstance(said, Key):
        return None
    match node:
        case MenuNode():
            return node.choices.get(said.key)
        case QueueNode():
            return node.keys.get(said.key)
        case _:
            return None


def collected(flow: Flow, position: Position, said: Said) -> CollectNode | None:
    """The node whose value the caller keyed with ``said``, if it was one."""
    node = flow.nodes[position.node]
    return node if isinstance(node, CollectNode) and isinstance(said, Keys) and node.fits(said.keys) else None


def step(flow: Flow, position: Position, said: Said) -> tuple[Position, Instruction]:
    """Where the caller goes from ``position``, and what to do there.  Raises ValueError behind the end of a flow."""
    node = flow.nodes[position.node]
    if choice := chosen(flow, position, said):
        return _enter(flow, Position(choice.next, language=choice.language or position.language))
    match node:
        case SayNode():
            return _enter(flow, evolve(position, node=node.next))
        case SealNode():
            return _go(flow, position, node.next)
        case PostNode():
            return _go(flow, position, node.next if isinstance(said, Done) else node.otherwise)
        case BranchNode():
            known = said.value if isinstance(said, Known) else ""
            return _go(flow, position, node.cases.get(known, node.otherwise))
        case HoursNode():
            return _go(flow, position, node.open if said == Known("open") else node.closed)
        case CollectNode():
            return _collected(flow, position, node, said)
        case MenuNode():
            if position.tries >= node.retries:
                return _enter(flow, Position(node.otherwise, language=position.language))
            first = node.invalid if isinstance(said, Key) else ()
            return evolve(position, tries=position.tries + 1), Ask((*first, *node.prompts), node.timeout)
        case FaxNode():
            return _enter(flow, evolve(position, node=node.next if isinstance(said, Done) else node.otherwise))
        case _:
            raise ValueError(f"the flow {flow.name} is over at {position.node}")


def _collected(flow: Flow, position: Position, node: CollectNode, said: Said) -> tuple[Position, Instruction]:
    if collected(flow, position, said):
        return _go(flow, position, node.next)
    if position.tries >= node.retries or isinstance(said, Failed):
        return _go(flow, position, node.otherwise)
    first = node.invalid if isinstance(said, Keys) and said.keys else ()
    prompts = (*first, *node.prompts)
    return evolve(position, tries=position.tries + 1), Collect(prompts, node.most, node.timeout, node.secret)


def _go(flow: Flow, position: Position, node: str) -> tuple[Position, Instruction]:
    return _enter(flow, Position(node, language=position.language))


def _enter(flow: Flow, position: Position) -> tuple[Position, Instruction]:
    node = flow.nodes[position.node]
    match node:
        case SayNode():
            following = flow.nodes[node.next]
            return position, Say(node.prompts, "".join(following.choices) if isinstance(following, MenuNode) else "")
        case MenuNode():
            return position, Ask(node.prompts, node.timeout)
        case FaxNode():
            return position, Receive(node.box)
        case HoursNode():
            return position, LookAtHours(node.hours)
        case QueueNode():
            return position, ToQueue(node.queue, "".join(node.keys), node.asks)
        case VoicemailNode():
            return position, ToVoicemail(node.box)
        case HangUpNode():
            return position, Finish()
        case CollectNode():
            return position, Collect(node.prompts, node.most, node.timeout, node.secret)
        case SealNode():
            return position, Seal(node.value, node.key, node.name)
        case PostNode():
            return position, Post(node.service, node.send, node.take)
        case BranchNode():
            return position, Branch(node.value)
        case ReturnNode():
            return position, Return(node.result)
