"""The nodes by which a flow asks for values, uses them, gives a result and reports what was done; and what is decided at
them.  Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeAlias

from attrs import field, frozen

from easycall.ivr.function import Field
from easycall.ivr.prompt import Prompt
from easycall.ivr.values import Text
from easycall.secure.secret import luhn

__all__ = [
    "Branch",
    "BranchNode",
    "CallBackAt",
    "CallbackNode",
    "CaptureNode",
    "Collect",
    "CollectNode",
    "Keys",
    "Post",
    "PostNode",
    "Return",
    "ReturnNode",
    "Seal",
    "SealNode",
    "Transact",
    "TransactionNode",
    "taken",
]


@frozen
class CollectNode:
    """Asks for digits."""

    prompts: tuple[Prompt, ...]
    name: str
    """What the value is called from here on."""
    least: int
    most: int
    next: str
    otherwise: str
    """Where a caller goes who keyed nothing that fits in all tries."""
    invalid: tuple[Prompt, ...] = ()
    """Heard after keys that do not fit, before it is asked again."""
    retries: int = 2
    timeout: float = 5.0
    """Seconds for each key."""
    check: str = ""
    """``luhn``, or a regular expression that the digits match as a whole; ``""``: any digits will do."""
    secret: bool = False
    line: int = field(default=0, eq=False)

    def fits(self, keys: str) -> bool:
        """Whether what was keyed is a value."""
        if not (keys.isascii() and keys.isdigit() and self.least <= len(keys) <= self.most):
            return False
        if self.check == "luhn":
            return luhn(keys)
        return not self.check or bool(re.fullmatch(self.check, keys))


@frozen
class SealNode:
    """Encrypts a value with a public key."""

    value: str
    key: str
    """The key's name in the configuration."""
    name: str
    next: str
    line: int = field(default=0, eq=False)


@frozen
class PostNode:
    """Hands values to a service and takes values from its answer."""

    service: str
    """The service's name in the configuration."""
    send: Mapping[str, Text]
    """Field of the JSON object -> what stands in it."""
    take: Mapping[str, Field]
    """Field of the answer, and name of the value -> what fits."""
    next: str
    otherwise: str
    """Where the caller goes when the service did not answer so."""
    line: int = field(default=0, eq=False)


@frozen
class BranchNode:
    """Goes on by a value."""

    value: str
    cases: Mapping[str, str]
    """Value -> node."""
    otherwise: str
    line: int = field(default=0, eq=False)


@frozen
class ReturnNode:
    """Ends a function with a result."""

    result: Mapping[str, Text]
    line: int = field(default=0, eq=False)


@frozen
class Transact:
    """Report a transaction: business that was done with the caller."""

    name: str
    texts: Mapping[str, Text]
    """``outcome``, and what else is known of it: ``reference``, ``amount``, ``currency``."""
    data: Mapping[str, Text] = field(factory=dict)

    @property
    def all_texts(self) -> Mapping[str, Text]:
        """All that is said of it, by where it stands in the flow."""
        return {**self.texts, **{f"data.{name}": text for name, text in self.data.items()}}


@frozen
class TransactionNode:
    """Reports a transaction and goes on."""

    report: Transact
    next: str
    line: int = field(default=0, eq=False)


@frozen
class CallBackAt:
    """Promise the caller to call back."""

    queue: str
    number: Text | None = None
    """At which number; None: the one that the caller calls from."""


@frozen
class CallbackNode:
    """Promises the caller to call back, and goes on."""

    promise: CallBackAt
    next: str
    otherwise: str
    """Where a caller goes whom nobody will call back."""
    line: int = field(default=0, eq=False)


CaptureNode: TypeAlias = CollectNode | SealNode | PostNode | BranchNode | ReturnNode | TransactionNode | CallbackNode


# What is to be done


@frozen
class Collect:
    """Play these, then read keys until there are ``most``, or ``#``, or none for ``seconds``."""

    prompts: tuple[Prompt, ...]
    most: int
    seconds: float
    secret: bool = False


@frozen
class Seal:
    """Seal a value with a key, and call what comes of it ``name``."""

    value: str
    key: str
    name: str


@frozen
class Post:
    """Hand values to a service; ``take`` is what must be in its answer."""

    service: str
    send: Mapping[str, Text]
    take: Mapping[str, Field]


@frozen
class Branch:
    """Tell the value of that name."""

    value: str


@frozen
class Return:
    """The function is over, with this result."""

    result: Mapping[str, Text]


@frozen
class Keys:
    """What the caller keyed, without the ``#``."""

    keys: str = field(repr=False)  # keys never reach a log


def taken(fields: Mapping[str, Field], answer: Mapping[str, Any]) -> dict[str, str] | None:
    """The values in a service's answer; None when one is missing or does not fit.  Numbers and booleans are read as text."""
    values: dict[str, str] = {}
    for name, shape in fields.items():
        value = answer.get(name)
        if isinstance(value, bool):
            value = "true" if value else "false"
        elif isinstance(value, int | float):
            value = str(value)
        if not isinstance(value, str) or not shape.fits(value):
            return None
        values[name] = value
    return values
