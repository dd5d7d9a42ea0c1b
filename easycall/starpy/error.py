"""What goes wrong: starpy's errors, and those for what starpy kept silent about."""

from __future__ import annotations

from twisted.internet.error import ConnectionDone, ConnectionLost

from easycall.asterisk.ami import UnsafeValue
from easycall.asterisk.fastagi import TooManyCommands
from easycall.asterisk.link import ActionTimeout, TooManyActions

__all__ = [
    "AGICommandFailure",
    "AMICommandFailure",
    "ActionTimeout",
    "Disconnected",
    "MenuExit",
    "MenuFinished",
    "MenuTimeout",
    "MenuUnexpectedOption",
    "TooManyActions",
    "TooManyCommands",
    "UnsafeValue",
]


class AMICommandFailure(Exception):
    """Asterisk refused an action; ``args[0]`` is its answer, a dict with ``response`` and ``message``."""


class AGICommandFailure(Exception):
    """Asterisk could not do a command; ``args`` are a code (-1: the result says so; 510, 520: unknown) and a text."""


class MenuFinished(Exception):
    """A menu ended otherwise than by a choice.  starpy's own menus are not part of this package, their errors are."""


class MenuExit(MenuFinished):
    """The caller left the menu."""


class MenuTimeout(MenuFinished):
    """The caller did not choose in time."""


class MenuUnexpectedOption(MenuFinished):
    """The caller chose what is not there."""


class Disconnected(ConnectionDone, ConnectionLost):
    """The connection is gone: what was sent may have been carried out or not, what comes later is not sent.

    In FastAGI also: the leg is not ours any more, hung up or taken into a bridge.
    """

    def __str__(self) -> str:
        return Exception.__str__(self)
