"""AMI messages as starpy's dicts, in both directions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from easycall.asterisk.ami import Action, Message

__all__ = ["AMIMessage", "Request", "assignment", "taken_apart", "text"]

Request = Mapping[str, Any] | Iterable[tuple[str, Any] | list[Any]]
"""An action as starpy's programs write it: a dict, or a list of pairs in which a header may be repeated."""

_SPECIAL = re.compile(r'[\\",()\[\]]')


class AMIMessage(dict[str, Any]):
    """An answer or event: header in lower case -> value, as it came, not stripped.

    The first header of a name counts: Asterisk writes its own headers first, and a text of a caller that breaks the line
    cannot replace them.  :meth:`all` gives every one.  A command's output is a list under ``" "``, as in starpy.
    """

    def __init__(self, message: Message) -> None:
        super().__init__()
        self._message = message
        for name, value in message.headers():
            self.setdefault(name.lower(), value)
        if "output" in self and not message.name:
            self[" "] = message.all("Output")

    def all(self, header: str) -> list[str]:
        """The values of every header of that name, in any case: ``event.all("ChanVariable")``."""
        return self._message.all(header)


def taken_apart(request: Request) -> tuple[Action, str]:
    """An action and the ActionID it asks for (``""``: none).

    A value that is a list or tuple repeats its header; a header whose value is None is left out.
    """
    name = action_id = ""
    headers: list[tuple[str, str]] = []
    for header, value in request.items() if isinstance(request, Mapping) else request:
        key = str(header).lower()
        for each in value if isinstance(value, (list, tuple)) else (value,):
            if key == "action":
                name = text(each)
            elif key == "actionid":
                action_id = text(each)
            elif each is not None:
                headers.append((key, text(each)))
    return Action(name, tuple(headers)), action_id


def text(value: object) -> str:
    """A value as it is sent; bytes arrive as the same bytes."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def assignment(name: object, value: object) -> str:
    """``NAME=value`` for a ``Variable:`` header; the value arrives as it is.

    Asterisk splits that header at commas and eats quotes and backslashes (``__ast_app_separate_args``), unless a backslash
    stands before them.  The name may be a function, ``PJSIP_HEADER(add,X-Customer)``.
    """
    return _SPECIAL.sub(r"\\\g<0>", f"{text(name)}={text(value)}")
