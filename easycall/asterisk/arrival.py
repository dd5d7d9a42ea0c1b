"""What a FastAGI connection tells of the leg that came home."""

from __future__ import annotations

import re
import unicodedata

from easycall.asterisk.fastagi import Session
from easycall.model import Role

__all__ = [
    "NUMBER",
    "caller_name",
    "caller_number",
    "dialled_number",
    "endpoint",
    "endpoint_of",
    "is_agent",
    "is_outside",
    "is_shell",
    "leg_id",
    "was_ours",
]

NUMBER = re.compile(r"[0-9+*#]{1,40}")
"""A telephone number as it may come from outside or go into an action."""

NAME_LENGTH = 256
"""Code points of a caller's name that are kept."""

SHELL = "Surrogate/"
"""How the name begins of what a Bridge leaves of a channel: it has its own id, and ends at once (docs/asterisk.rst)."""

RESTRICTION = 0x60
RESTRICTED = 0x20
"""The bits of ``agi_callingpres`` that say whether a number may be shown, and that it may not."""


def leg_id(session: Session) -> str:
    """Asterisk's Uniqueid of the leg.  Raises ValueError when there is none: legs could not be told apart."""
    uniqueid = session.variables.get("agi_uniqueid", "")
    if not uniqueid:
        raise ValueError("a FastAGI connection without agi_uniqueid")
    return uniqueid


def dialled_number(session: Session) -> str:
    """What the caller dialled: the first argument the dialplan gives (etc/asterisk/extensions.conf)."""
    return next(iter(session.arguments), "")


def is_shell(session: Session) -> bool:
    """True for no leg at all: the leg was put into a bridge while its dialplan called us."""
    return session.variables.get("agi_channel", "").startswith(SHELL)


def is_agent(session: Session) -> bool:
    """True for a leg we rang, an agent's or a supervisor's: the dialplan's second argument is the role we gave it then."""
    return any(role in session.arguments[1:2] for role in (Role.AGENT.value, Role.SUPERVISOR.value))


def is_outside(session: Session) -> bool:
    """True for the leg of somebody outside whom an agent asked, or to whom a customer was given."""
    return Role.OUTSIDE.value in session.arguments[1:2]


def endpoint(session: Session) -> str:
    """The technology and endpoint of the leg: ``PJSIP/carrier`` of the channel ``PJSIP/carrier-0000002a``; else ``""``."""
    return endpoint_of(session.variables.get("agi_channel", ""))


def endpoint_of(channel: str) -> str:
    """The same of the name of a channel."""
    found = re.fullmatch(r"([A-Za-z0-9]+/[A-Za-z0-9_.-]+)-[0-9a-f]+", channel)
    return found[1] if found else ""


def was_ours(session: Session) -> bool:
    """True for a caller's leg that an easycall before us carried: it kept the role on the leg."""
    return Role.CALLER.value in session.arguments[1:2]


def caller_number(session: Session) -> str:
    """The calling number; ``""`` when withheld or no number."""
    presentation = session.variables.get("agi_callingpres", "")
    if presentation.isdecimal() and int(presentation) & RESTRICTION == RESTRICTED:
        return ""  # the network knows it and may tell us, but its owner does not want to be known by it
    number = session.variables.get("agi_callerid", "")
    return number if NUMBER.fullmatch(number) else ""


def caller_name(session: Session) -> str:
    """The caller's name as text to show: no control or formatting characters, bounded; ``""`` when there is none."""
    name = session.variables.get("agi_calleridname", "")
    if name == "unknown":
        return ""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(char for char in text if unicodedata.category(char)[0] != "C")[:NAME_LENGTH]
