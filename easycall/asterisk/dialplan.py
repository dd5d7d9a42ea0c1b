"""A context of Asterisk's dialplan, as AMI's ``ShowDialPlan`` shows it.  Pure."""

from __future__ import annotations

from collections.abc import Sequence

from easycall.asterisk.ami import Action, Message

__all__ = ["INCLUDE", "MISSING", "SHOW", "Step", "place", "question", "says_missing", "steps"]

Step = tuple[str, str]
"""One priority of the dialplan: application and its arguments."""

SHOW = "ShowDialPlan"
"""The action; it needs the right ``reporting`` (or ``config``)."""
MISSING = "there is no such context with an extension s"
INCLUDE = "include etc/asterisk/extensions.conf unchanged; dialplan reload"
"""What mends it."""


def place(context: str) -> str:
    """Where a context is written."""
    return f"extensions.conf: [{context}]"


def question(context: str) -> Action:
    """Asks for a list of all that is in a context."""
    return Action.of(SHOW, Context=context)


def steps(answer: Sequence[Message]) -> list[Step] | None:
    """The steps of the extension ``s``, in which legs are at home; empty: there is none.

    None: that cannot be told, as the context takes extensions from elsewhere.
    """
    shown = [item for item in answer if item.get("Extension") == "s"]
    if not shown and any(item.get("IncludeContext") or item.get("Switch") for item in answer):
        return None
    return [(step.get("Application"), step.get("AppData")) for step in shown]


def says_missing(refusal: str) -> bool:
    """Whether that refusal says that there is no such context.  Any other says nothing of it."""
    return refusal.startswith("Did not find context")
