"""What an AMI action needs, and what it is refused for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from attrs import frozen

from easycall.simulator.ami import Request
from easycall.simulator.channel import Channel

if TYPE_CHECKING:
    from easycall.simulator.asterisk import SimulatedAsterisk
    from easycall.simulator.manager import ManagerSession

__all__ = [
    "NOT_SIMULATED",
    "Action",
    "Refused",
    "channel_of",
    "forbidden_to_read",
    "forbidden_to_run",
    "lacks_system",
    "needs",
]

Do = Callable[["SimulatedAsterisk", "ManagerSession", Request], None]


class Refused(Exception):
    """The action is not carried out; the text is Asterisk's."""


@frozen
class Action:
    """One action and the rights of which one is needed; none: everybody may."""

    do: Do
    rights: frozenset[str] = frozenset()


def needs(do: Do, *rights: str) -> Action:
    """An action that needs one of these rights."""
    return Action(do, frozenset(rights))


def lacks_system(session: ManagerSession) -> bool:
    """Whether the account may not do what reaches the machine."""
    return session.account is None or "system" not in session.account.write


def channel_of(asterisk: SimulatedAsterisk, request: Request, header: str = "Channel") -> Channel:
    """The channel that a header names.  Raises Refused."""
    name = request.get(header)
    if not name:
        raise Refused(f"{header} not specified")
    found = asterisk.core.find(name)
    if found is None:
        raise Refused("No such channel")
    return found


_RIGHTS: Mapping[str, frozenset[str]] = {
    "agi": frozenset({"agi"}),
    "command": frozenset({"command"}),
    "dbput": frozenset({"system"}),
    "dialplanextensionadd": frozenset({"command"}),
    "getconfig": frozenset({"system", "config"}),
    "messagesend": frozenset({"message"}),
    "modulecheck": frozenset({"system"}),
    "moduleload": frozenset({"system"}),
    "reload": frozenset({"config", "system"}),
    "updateconfig": frozenset({"config"}),
}


def _not_simulated(asterisk: SimulatedAsterisk, session: ManagerSession, request: Request) -> None:
    raise Refused("The simulated Asterisk does not do this")


NOT_SIMULATED: Mapping[str, Action] = {name: Action(_not_simulated, rights) for name, rights in _RIGHTS.items()}
"""The actions of which only is known who would be refused."""

_READ = re.compile(r"\b(?:SHELL|EVAL)\(")
_WRITTEN = re.compile(r"\b(?:SHELL|EVAL|CURL|FILE|REALTIME|DB|ODBC_\w+)\(")
_APPLICATIONS = re.compile(
    r"(?:try)?system|exec(?:if)?|(?:dead|e)?agi|externalivr|(?:stop)?mixmonitor|dbdeltree|originate", re.IGNORECASE
)


def forbidden_to_read(name: str) -> bool:
    """Whether a function needs the right ``system`` to be asked for from outside."""
    return bool(_READ.search(name))


def forbidden_to_run(application: str, data: str) -> bool:
    """Whether an application, or what is to be filled in for it, needs the right ``system`` to be originated."""
    return bool(_APPLICATIONS.fullmatch(application) or _WRITTEN.search(data))
