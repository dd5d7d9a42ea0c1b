"""A Manager and an Asterisk in memory around it, in virtual time: what tests of the AMI link stand on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any, Literal

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectingCancelledError, ConnectionDone, ConnectionRefusedError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from easycall.asterisk.ami import Action, Message
from easycall.asterisk.manager import Account, Manager
from easycall.defer import start

SECRET = "very secret"


class Asterisk:
    """How an Asterisk behaves at the other end; the tests change what it does.  One object serves every connection."""

    def __init__(self) -> None:
        self.secret = SECRET
        self.refuses_filter = True
        self.silent = False
        self.boots = True
        self.uptime = "100"
        self.seen: list[dict[str, str]] = []
        """Every action that came, over all connections."""
        self.answers: dict[str, str] = {"Ping": "Response: Success\r\nActionID: {id}\r\nPing: Pong\r\n\r\n"}

    def names(self) -> list[str]:
        return [action["Action"] for action in self.seen if action["Action"] != "Ping"]

    def respond(self, data: bytes) -> str:
        """What it says to one action."""
        action = dict(line.split(": ", 1) for line in data.decode().split("\r\n"))
        self.seen.append(action)
        name, given = action["Action"], action["ActionID"]
        if self.silent:
            return ""
        if name == "Challenge":
            return f"Response: Success\r\nActionID: {given}\r\nChallenge: 1357\r\n\r\n"
        if name == "Login":
            return self._login(action, given)
        if name == "Filter" and name not in self.answers:
            verdict = "Error\r\nMessage: Permission denied" if self.refuses_filter else "Success\r\nMessage: Success"
            return f"Response: {verdict}\r\nActionID: {given}\r\n\r\n"
        if name == "Logoff":
            return f"Response: Goodbye\r\nActionID: {given}\r\nMessage: Thanks for all the fish.\r\n\r\n"
        return self.answers.get(name, "").format(id=given)

    def _login(self, action: dict[str, str], given: str) -> str:
        key = hashlib.md5(f"1357{self.secret}".encode(), usedforsecurity=False).hexdigest()
        proved = action["Key"] == key if action.get("AuthType") == "MD5" else action["Secret"] == self.secret
        if action["Username"] != "easycall" or not proved:
            return f"Response: Error\r\nActionID: {given}\r\nMessage: Authentication failed\r\n\r\n"
        booted = f"Event: FullyBooted\r\nPrivilege: system,all\r\nUptime: {self.uptime}\r\nStatus: Fully Booted\r\n\r\n"
        return f"Response: Success\r\nActionID: {given}\r\nMessage: Authentication accepted\r\n\r\n" + (
            booted if self.boots else ""
        )


class Peer(StringTransport):
    """One connection in memory: a transport for the link, and the Asterisk's hand on it."""

    def __init__(self, asterisk: Asterisk, clock: Clock) -> None:
        super().__init__()
        self.asterisk = asterisk
        self.clock = clock
        self.link: Protocol = Protocol()
        self.gone = False
        self._buffer = b""

    def write(self, data: bytes) -> None:
        *actions, self._buffer = (self._buffer + data).split(b"\r\n\r\n")
        for action in actions:
            if answer := self.asterisk.respond(action):
                self.clock.callLater(0, self.say, answer)

    def say(self, text: str | bytes) -> None:
        if not self.gone:
            self.link.dataReceived(text if isinstance(text, bytes) else text.encode())

    def cut(self, reason: Exception | None = None) -> None:
        if not self.gone:
            self.gone = True
            self.link.connectionLost(Failure(reason or ConnectionDone()))

    def loseConnection(self) -> None:
        self.abortConnection()

    def abortConnection(self) -> None:
        self.clock.callLater(0, self.cut)


@implementer(IStreamClientEndpoint)
class Endpoint:
    """Connects links to the Asterisk in memory, and notes when."""

    def __init__(self, asterisk: Asterisk, clock: Clock) -> None:
        self.asterisk = asterisk
        self.clock = clock
        self.refuses = False
        self.hangs = False
        self.tries: list[float] = []
        self.peers: list[Peer] = []

    def connect(self, factory: Factory) -> Deferred[Any]:
        self.tries.append(self.clock.seconds())
        if self.hangs:
            return Deferred(lambda trying: trying.errback(ConnectingCancelledError(None)))
        if self.refuses:
            return fail(ConnectionRefusedError())
        peer = Peer(self.asterisk, self.clock)
        protocol = factory.buildProtocol(None)
        assert protocol is not None
        peer.link = protocol
        self.peers.append(peer)
        protocol.makeConnection(peer)
        self.clock.callLater(0, peer.say, "Asterisk Call Manager/11.0.0\r\n")
        return succeed(protocol)


class Bench:
    """A Manager and everything around it, in virtual time."""

    def __init__(self, *names: str, random: float = 0.5, login: Literal["md5", "plain"] = "md5") -> None:
        self.clock = Clock()
        self.asterisk = Asterisk()
        self.endpoint = Endpoint(self.asterisk, self.clock)
        self.events: list[Message] = []
        self.told: list[str] = []
        self.restarted: list[bool] = []
        self.on_connected: Callable[[], Deferred[None]] = lambda: succeed(None)
        self.manager = Manager(
            "pbx",
            self.endpoint,
            Account("easycall", SECRET, login),
            self.clock,
            events=dict.fromkeys(names or ("Hangup",), self.event),
            connected=self.connected,
            lost=lambda reason: self.told.append(f"lost: {reason}"),
            random=lambda: random,
        )
        self.first_login: list[Any] = []

    def event(self, message: Message) -> None:
        self.events.append(message)

    async def connected(self) -> None:
        self.told.append("connected")
        self.restarted.append(self.manager.restarted)
        await self.on_connected()

    def start(self) -> Bench:
        self.manager.start().addBoth(self.first_login.append)
        self.turn()
        return self

    def turn(self, seconds: float = 0.0, step: float = 0.05) -> None:
        """Let time pass in small steps, and everything happen that is due."""
        end = self.clock.seconds() + seconds
        while True:
            for _ in range(20):
                self.clock.advance(0)
            if self.clock.seconds() >= end - 1e-9:
                return
            self.clock.advance(min(step, end - self.clock.seconds()))

    @property
    def peer(self) -> Peer:
        return self.endpoint.peers[-1]

    def send(self, name: str = "Test", seconds: float = 5.0, **headers: str) -> list[Any]:
        """Start an action; the list gets its outcome."""
        outcome: list[Any] = []
        start(self.manager.send(Action.of(name, **headers), seconds)).addBoth(outcome.append)
        return outcome

    def collect(self, name: str = "Status", seconds: float = 5.0) -> list[Any]:
        outcome: list[Any] = []
        start(self.manager.collect(Action(name), seconds)).addBoth(outcome.append)
        return outcome

    def given(self, at: int = -1) -> str:
        """The ActionID of the last action but pings."""
        return [action for action in self.asterisk.seen if action["Action"] != "Ping"][at]["ActionID"]

    def stop(self) -> None:
        done: list[Any] = []
        start(self.manager.stop()).addBoth(done.append)
        self.turn(2.0)
        assert done == [None]
        assert not self.clock.getDelayedCalls()


def lines_logged() -> Iterator[list[str]]:
    """Everything that is logged: a fixture where it is called one."""
    lines: list[str] = []

    def observe(event: LogEvent) -> None:
        lines.append(formatEvent(event) + (event["log_failure"].getTraceback() if "log_failure" in event else ""))

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


def failed(outcome: list[Any]) -> Exception:
    """The one error of an action's outcome."""
    [failure] = outcome
    assert isinstance(failure, Failure)
    error = failure.value
    assert isinstance(error, Exception)
    return error


def item(given: str, event: str = "Status", **headers: str) -> str:
    more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"Event: {event}\r\nActionID: {given}\r\n{more}\r\n"
