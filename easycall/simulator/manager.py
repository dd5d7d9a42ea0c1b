"""The AMI of the simulated Asterisk: who logs in, with which rights, and what each connection is told."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from easycall.simulator import ami
from easycall.simulator.actions import ACTIONS
from easycall.simulator.ami import Request
from easycall.simulator.rights import Refused

if TYPE_CHECKING:
    from easycall.simulator.asterisk import Account, SimulatedAsterisk

__all__ = ["CLASSES", "ManagerFactory", "ManagerSession"]

REFUSAL_SECONDS = 1.0
"""How long Asterisk takes to refuse a log-in."""
BEFORE_LOGIN = frozenset({"login", "challenge", "logoff"})
CLASSES = frozenset(
    {
        *("system", "call", "log", "verbose", "command", "agent", "user", "config", "dtmf", "reporting", "cdr", "dialplan"),
        *("originate", "agi", "cc", "aoc", "test", "security", "message"),
    }
)
"""What ``all`` is in manager.conf."""
_FILTER = re.compile(r"action\((include|exclude)\),name\((\w+)\)")


class ManagerSession(Protocol):
    """One AMI connection."""

    def __init__(self, asterisk: SimulatedAsterisk) -> None:
        self.asterisk = asterisk
        self.account: Account | None = None
        self._reader = ami.Reader()
        self._mask: frozenset[str] = frozenset()
        self._included: set[str] = set()
        self._excluded: set[str] = set()
        self._challenge = ""
        self._closed = False

    # easycall.simulator.core.EventListener

    def wants(self, event_class: str, name: str) -> bool:
        """Whether it asked for events of that class, and does not filter that one out."""
        if event_class not in self._mask or name in self._excluded:
            return False
        return not self._included or name in self._included

    def write(self, data: bytes) -> None:
        """Send it."""
        if self.transport is not None and not self._closed:
            self.transport.write(data)

    def tell(self, event_class: str, name: str, facts: list[tuple[str, str]]) -> None:
        """Tell this connection alone of an event."""
        self.write(ami.message([("Event", name), ("Privilege", f"{event_class},all"), *facts]))

    # Answers

    def answer(self, request: Request, response: str, *more: tuple[str, str], escaped: bool = True) -> None:
        """Answer an action."""
        action_id = [("ActionID", value) for value in request.all("ActionID")[:1]]
        self.write(ami.message([("Response", response), *action_id, *more], escaped=escaped))

    def refuse(self, request: Request, why: str) -> None:
        """Answer that it was not done."""
        self.answer(request, "Error", ("Message", why))

    def listing(self, request: Request, text: str, items: list[list[tuple[str, str]]], complete: str) -> None:
        """Answer with a list; each item begins with its ``Event``."""
        action_id = [("ActionID", value) for value in request.all("ActionID")[:1]]
        self.answer(request, "Success", ("EventList", "start"), ("Message", text))
        for item in items:
            at = 1 if item[0][0] == "Event" else 0
            ordered = [*item, *action_id] if item[0][1] == "Status" else [*item[:at], *action_id, *item[at:]]
            self.write(ami.message(ordered, escaped=item[0][1] != "Status"))
        end = [("Event", complete), *action_id, ("EventList", "Complete"), ("ListItems", str(len(items)))]
        self.write(ami.message(end))

    # Actions

    def _take(self, request: Request) -> None:
        if request.fault:
            self.refuse(request, request.fault)
            return
        name = request.get("Action").lower()
        if self.asterisk.shuts_down:
            self.refuse(request, "Asterisk is shutting down")
        elif not name:
            self.refuse(request, "Missing action in request")
        elif self.account is None and name not in BEFORE_LOGIN:
            self.refuse(request, "Permission denied")
        elif name in _OWN:
            _OWN[name](self, request)
        elif name not in ACTIONS:
            shown = request.get("Action")
            text = f"Invalid/unknown command: {shown}. Use Action: ListCommands to show available commands."
            self.refuse(request, text)
        else:
            action = ACTIONS[name]
            if action.rights and self.account is not None and not action.rights & self.account.write:
                self.refuse(request, "Permission denied")
                return
            try:
                action.do(self.asterisk, self, request)
            except Refused as why:
                self.refuse(request, str(why))

    def _challenged(self, request: Request) -> None:
        if request.get("AuthType").upper() != "MD5":
            self.refuse(request, "Must specify AuthType")
            return
        self._challenge = self.asterisk.new_challenge()
        self.answer(request, "Success", ("Challenge", self._challenge))

    def _login(self, request: Request) -> None:
        if self.account is not None:
            self.answer(request, "Success", ("Message", "Already authenticated"))
            return
        account = self.asterisk.settings.accounts.get(request.get("Username"))
        if account is None or not self._is_right(account, request):
            self.asterisk.core.later(REFUSAL_SECONDS, self._refuse_login, request)
            return
        self.account = account
        asked = request.get("Events").lower() or "on"
        self._set_mask(asked)
        self.answer(request, "Success", ("Message", "Authentication accepted"))
        self.asterisk.logged_in(self)

    def _is_right(self, account: Account, request: Request) -> bool:
        if request.get("AuthType").upper() != "MD5":
            return request.get("Secret") == account.secret
        mixed = (self._challenge + account.secret).encode()
        key = hashlib.md5(mixed, usedforsecurity=False).hexdigest()  # the protocol knows no other digest
        return bool(self._challenge) and request.get("Key") == key

    def _refuse_login(self, request: Request) -> None:
        self.refuse(request, "Authentication failed")
        self.close()

    def _set_mask(self, asked: str) -> None:
        rights = self.account.read if self.account is not None else frozenset()
        if asked in ("on", "all", "yes"):
            self._mask = rights
        elif asked in ("off", "none", "no"):
            self._mask = frozenset()
        else:
            self._mask = rights & {part.strip() for part in asked.split(",")}
        self.asterisk.core.listen(self)

    def _events(self, request: Request) -> None:
        self._set_mask(request.get("EventMask").lower())
        known = CLASSES.intersection(request.get("EventMask").lower().split(",")) or self._mask
        self.answer(request, "Success", ("Events", "On" if known else "Off"))

    def _filter(self, request: Request) -> None:
        """Needs the right ``system``."""
        if self.account is None or "system" not in self.account.write:
            self.refuse(request, "Permission denied")
            return
        found = _FILTER.fullmatch(request.get("MatchCriteria"))
        if request.get("Operation").lower() != "add" or found is None:
            self.refuse(request, "Filter format error")
            return
        (self._included if found[1] == "include" else self._excluded).add(found[2])
        self.asterisk.core.listen(self)
        self.answer(request, "Success", ("Message", "Success"))

    def _logoff(self, request: Request) -> None:
        self.answer(request, "Goodbye", ("Message", "Thanks for all the fish."))
        self.close()

    def _ping(self, request: Request) -> None:
        self.answer(request, "Success", ("Ping", "Pong"), ("Timestamp", f"{self.asterisk.core.now():.6f}"))

    def close(self) -> None:
        """End the connection."""
        if self.transport is not None:
            self.transport.loseConnection()
        self._closed = True

    def cut(self) -> None:
        """End it as a broken network does."""
        if self.transport is not None:
            self.transport.abortConnection()  # type: ignore[attr-defined]
        self._closed = True

    # Protocol

    def connectionMade(self) -> None:
        """Greet."""
        if self.transport is not None:
            self.transport.setTcpNoDelay(True)  # type: ignore[attr-defined] # an answer behind an event must not wait for its ACK
        self.write(ami.GREETING)

    def dataReceived(self, data: bytes) -> None:
        """Actions come in."""
        for request in self._reader.receive(data):
            if not self._closed:
                self._take(request)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is gone."""
        self._closed = True
        self.asterisk.core.forget(self)
        self.asterisk.managers.discard(self)


_OWN = {
    "challenge": ManagerSession._challenged,
    "events": ManagerSession._events,
    "filter": ManagerSession._filter,
    "login": ManagerSession._login,
    "logoff": ManagerSession._logoff,
    "ping": ManagerSession._ping,
}
"""The actions about the connection itself."""


class ManagerFactory(Factory):
    """Accepts AMI connections."""

    noisy = False

    def __init__(self, asterisk: SimulatedAsterisk) -> None:
        self._asterisk = asterisk

    def buildProtocol(self, addr: IAddress | None) -> ManagerSession:
        """A connection."""
        session = ManagerSession(self._asterisk)
        self._asterisk.managers.add(session)
        return session
