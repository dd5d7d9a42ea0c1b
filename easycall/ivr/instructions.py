"""What a flow tells whoever has the channel to do, and what may have come of it.  Pure."""

from __future__ import annotations

from typing import TypeAlias

from attrs import field, frozen

from easycall.ivr.capture import Branch, CallBackAt, Collect, Keys, Post, Return, Seal, Transact
from easycall.ivr.nodes import Asks
from easycall.ivr.prompt import Prompt

__all__ = [
    "Ask",
    "Done",
    "Failed",
    "Finish",
    "Instruction",
    "Key",
    "Known",
    "LookAtHours",
    "Receive",
    "Said",
    "Say",
    "Silence",
    "ToQueue",
    "ToVoicemail",
]


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
    Say
    | Ask
    | Receive
    | LookAtHours
    | ToQueue
    | ToVoicemail
    | Finish
    | Collect
    | Seal
    | Post
    | Branch
    | Return
    | Transact
    | CallBackAt
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
