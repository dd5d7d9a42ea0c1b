"""What an IVR flow is, and how a caller walks through it: nodes, and ``step(flow, position, said)``.  Pure.

:func:`begin` gives the first position and instruction.  Whoever has a channel carries the instruction out and hands what
came of it to :func:`step`, until the instruction is :class:`ToQueue` or :class:`Finish`.  Retries and time-outs are decided
here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from attrs import evolve, field, frozen

__all__ = [
    "KEYS",
    "Ask",
    "Choice",
    "Done",
    "Fault",
    "FaxNode",
    "Finish",
    "Flow",
    "FlowError",
    "HangUpNode",
    "Instruction",
    "Key",
    "MenuNode",
    "Node",
    "Position",
    "Prompt",
    "QueueNode",
    "Receive",
    "Said",
    "SayNode",
    "Silence",
    "ToQueue",
    "begin",
    "chosen",
    "parse_prompt",
    "step",
]

KEYS = "0123456789*#"
"""The keys of a telephone."""

SOUND_PREFIX = "sound:"
SOUND_NAME = re.compile(r"[a-z0-9_/-]{1,64}")
"""No dots, so that no name climbs out of Asterisk's sounds folder or is two names; see :func:`parse_prompt`."""
TEXT_LIMIT = 1000


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
class Prompt:
    """Something a caller hears: a sound file of Asterisk, or a text in one or more languages."""

    sound: str = ""
    texts: tuple[tuple[str, str], ...] = ()
    """(language, text); the language ``""`` is the site's own."""

    def spoken(self, language: str, default: str) -> tuple[str, str]:
        """The text for a caller of that language (``""``: of the site's own, ``default``): language and text.

        A caller whose language the prompt does not have hears the first one it has.
        """
        texts = [(spoken or default, text) for spoken, text in self.texts]
        return next((text for text in texts if text[0] == (language or default)), texts[0])


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


@frozen
class QueueNode:
    """Hands the caller to a queue."""

    queue: str
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
class HangUpNode:
    """Ends the call."""

    line: int = field(default=0, eq=False)


Node: TypeAlias = SayNode | MenuNode | QueueNode | FaxNode | HangUpNode


@frozen
class Flow:
    """A whole flow."""

    name: str
    start: str
    nodes: Mapping[str, Node]

    def prompts(self) -> Iterator[Prompt]:
        """Every prompt a caller may hear."""
        for node in self.nodes.values():
            match node:
                case SayNode():
                    yield from node.prompts
                case MenuNode():
                    yield from (*node.prompts, *node.invalid)


def parse_prompt(text: str) -> Prompt:
    """``sound:NAME`` is a sound of Asterisk, anything else is a text in the site's language.

    Raises ValueError.  Line breaks and runs of spaces in a text count as one space.
    """
    if text.startswith(SOUND_PREFIX):
        sound = text.removeprefix(SOUND_PREFIX)
        if not SOUND_NAME.fullmatch(sound):
            raise ValueError(f"{sound!r} is no sound name: 1 to 64 of a-z 0-9 _ - / without extension")
        return Prompt(sound=sound)
    return Prompt(texts=(("", plain_text(text)),))


def plain_text(text: str) -> str:
    """The text to be spoken, on one line.  Raises ValueError."""
    text = " ".join(text.split())
    if not text:
        raise ValueError("the text is empty")
    if len(text) > TEXT_LIMIT:
        raise ValueError(f"{len(text)} characters is too long to be spoken: {TEXT_LIMIT} at most")
    if not text.isprintable():
        raise ValueError(f"{text[:40]!r} holds a character that cannot be spoken")
    return text


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
class ToQueue:
    """The flow is over: the caller waits in this queue."""

    queue: str


@frozen
class Finish:
    """The flow is over: hang up."""


Instruction: TypeAlias = Say | Ask | Receive | ToQueue | Finish


@frozen
class Done:
    """It was played to the end, or received."""


@frozen
class Key:
    """The caller pressed a key."""

    key: str = field(repr=False)  # keys never reach a log


@frozen
class Silence:
    """No key came in time, or no page."""


Said: TypeAlias = Done | Key | Silence


def begin(flow: Flow) -> tuple[Position, Instruction]:
    """The first position and what to do there."""
    return _enter(flow, Position(flow.start))


def chosen(flow: Flow, position: Position, said: Said) -> Choice | None:
    """The choice the caller made with ``said``, if it was one."""
    node = flow.nodes[position.node]
    return node.choices.get(said.key) if isinstance(node, MenuNode) and isinstance(said, Key) else None


def step(flow: Flow, position: Position, said: Said) -> tuple[Position, Instruction]:
    """Where the caller goes from ``position``, and what to do there.  Raises ValueError behind the end of a flow."""
    node = flow.nodes[position.node]
    match node:
        case SayNode():
            return _enter(flow, evolve(position, node=node.next))
        case MenuNode():
            if choice := chosen(flow, position, said):
                return _enter(flow, Position(choice.next, language=choice.language or position.language))
            if position.tries >= node.retries:
                return _enter(flow, Position(node.otherwise, language=position.language))
            first = node.invalid if isinstance(said, Key) else ()
            return evolve(position, tries=position.tries + 1), Ask((*first, *node.prompts), node.timeout)
        case FaxNode():
            return _enter(flow, evolve(position, node=node.next if isinstance(said, Done) else node.otherwise))
        case _:
            raise ValueError(f"the flow {flow.name} is over at {position.node}")


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
        case QueueNode():
            return position, ToQueue(node.queue)
        case HangUpNode():
            return position, Finish()
