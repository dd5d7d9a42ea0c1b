"""Programs that speak AMI and FastAGI by hand: they send what they are told to, and keep what comes, letter by letter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Protocol, ServerFactory

from easycall.asterisk.ami import Message

from ..wire.stage import SOON, until


class Peer(Protocol):
    """One connection."""

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self.said = bytearray()
        """All that came."""
        self.closed = False
        self._heard = reactor.seconds()

    def send(self, data: bytes) -> None:
        """Exactly these bytes."""
        assert self.transport is not None
        self.transport.write(data)

    def leave(self) -> None:
        """Close the connection (FIN)."""
        assert self.transport is not None
        self.transport.loseConnection()

    def reset(self) -> None:
        """Close the connection (RST)."""
        assert self.transport is not None
        self.transport.abortConnection()  # type: ignore[attr-defined]

    def stall(self, stalled: bool) -> None:
        """Read no more, or again."""
        assert self.transport is not None
        (self.transport.pauseProducing if stalled else self.transport.resumeProducing)()  # type: ignore[attr-defined]

    async def until(self, condition: Callable[[], bool], expected: str, seconds: float = SOON) -> float:
        """Wait until it is so; after how many seconds it was.  Raises AssertionError."""
        return await until(self.reactor, condition, seconds, expected)

    async def is_closed(self, seconds: float = SOON) -> float:
        """Wait until the other side has closed; after how many seconds it had."""
        return await self.until(lambda: self.closed, "the connection is closed", seconds)

    async def quiet(self, seconds: float = 0.1) -> None:
        """Wait until nothing has come for so long: what happens at the same time is told one after another."""
        await self.until(lambda: self.reactor.seconds() > self._heard + seconds, "silence")

    def dataReceived(self, data: bytes) -> None:
        self.said += data
        self._heard = self.reactor.seconds()

    def connectionLost(self, reason: Any = None) -> None:
        self.closed = True


class Ami(Peer):
    """An AMI connection."""

    def __init__(self, reactor: Any) -> None:
        super().__init__(reactor)
        self.events: list[Message] = []
        """Every event that is no item of a list, in the order in which they came."""
        self._answers: dict[str, list[Message]] = {}
        self._asked = 0
        self._read = 0

    @classmethod
    async def connect(cls, reactor: Any, port: int) -> Ami:
        """Connect, and wait for the greeting.  Raises ConnectError, also when the other side closes without one."""
        ami = cls(reactor)
        await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port, timeout=SOON), ami)
        await ami.until(lambda: b"\n" in ami.said or ami.closed, "a greeting")
        if b"\n" not in ami.said:
            raise ConnectError(string="closed without a greeting")
        ami._read = ami.said.index(b"\n") + 1
        ami.dataReceived(b"")
        return ami

    @property
    def greeting(self) -> str:
        """The first line."""
        return bytes(self.said).partition(b"\r\n")[0].decode()

    async def log_in(self, user: str, secret: str, classes: str = "system,call") -> Ami:
        """Log in, and hear the events of these classes."""
        answer = await self.ask("Login", Username=user, Secret=secret, Events=classes)
        assert answer.ok, answer.block
        if "system" in classes:
            await self.event("FullyBooted")
        return self

    def post(self, name: str, **headers: str | list[str]) -> str:
        """Send an action, whatever is in it; its ActionID."""
        self._asked += 1
        action_id = f"a{self._asked}"
        lines = [f"Action: {name}", f"ActionID: {action_id}"]
        for header, value in headers.items():
            lines += [f"{header}: {each}" for each in ([value] if isinstance(value, str) else value)]
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n")
        return action_id

    async def answer(self, action_id: str, seconds: float = SOON) -> Message:
        """The answer to an action."""
        await self.until(lambda: action_id in self._answers, f"an answer to {action_id}", seconds)
        return self._answers[action_id][0]

    async def ask(self, name: str, **headers: str | list[str]) -> Message:
        """Send an action and wait for its answer."""
        return await self.answer(self.post(name, **headers))

    async def items(self, name: str, **headers: str | list[str]) -> list[Message]:
        """Send an action that answers with a list: the answer, its items, and the one that ends it."""
        action_id = self.post(name, **headers)
        await self.until(lambda: _complete(self._answers.get(action_id, [])), f"the end of a list: {name}")
        return self._answers[action_id]

    async def event(self, name: str, seconds: float = SOON, **headers: str) -> Message:
        """The first event of that name with these headers, come already or to come."""

        def found() -> list[Message]:
            return [event for event in self.events if event.name == name and holds(event, headers)]

        await self.until(lambda: bool(found()), f"{name} with {headers}", seconds)
        return found()[0]

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        while self._read and (end := self.said.find(b"\r\n\r\n", self._read)) >= 0:
            block = bytes(self.said[self._read : end]).lstrip(b"\r\n")
            self._read = end + 4
            if block:
                self._take(Message(block))

    def _take(self, message: Message) -> None:
        listed = message.action_id and message.name != "OriginateResponse"
        if listed and (not message.is_event or message.action_id in self._answers):
            self._answers.setdefault(message.action_id, []).append(message)
        elif message.is_event:
            self.events.append(message)


def holds(message: Message, headers: dict[str, str]) -> bool:
    """Whether a message has these headers with these values."""
    return all(message.get(header) == value for header, value in headers.items())


def _complete(answers: list[Message]) -> bool:
    return bool(answers) and (
        answers[0].get("Response") == "Error" or any(item.get("EventList") == "Complete" for item in answers)
    )


class Leg(Peer):
    """A FastAGI connection: one leg at home."""

    def __init__(self, reactor: Any) -> None:
        super().__init__(reactor)
        self.environment: list[str] = []
        """The lines that came first, without the empty one."""
        self._read = 0

    @property
    def facts(self) -> dict[str, str]:
        """The environment by name."""
        return dict(line.split(": ", 1) for line in self.environment)

    @property
    def id(self) -> str:
        """The Uniqueid of the leg."""
        return self.facts["agi_uniqueid"]

    async def line(self, seconds: float = SOON) -> str:
        """The next line."""
        await self.until(lambda: b"\n" in self.said[self._read :], f"a line; said was {self.said[-200:]!r}", seconds)
        end = self.said.index(b"\n", self._read)
        line, self._read = bytes(self.said[self._read : end]), end + 1
        return line.decode()

    async def ask(self, command: str, seconds: float = SOON) -> str:
        """Send a command and give its answer, of several lines as one."""
        assert self._read == len(self.said), f"came unasked: {bytes(self.said[self._read :])!r}"
        self.send(command.encode() + b"\n")
        return await self.reply(seconds)

    async def reply(self, seconds: float = SOON) -> str:
        """The answer to a command sent before."""
        lines = [await self.line(seconds)]
        while lines[0].startswith("520-") and not lines[-1].startswith("520 "):
            lines.append(await self.line())
        return " / ".join(lines)

    def unread(self) -> bytes:
        """What came and nobody has read."""
        return bytes(self.said[self._read :])

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        if not self.environment and (end := self.said.find(b"\n\n")) >= 0:
            self.environment = self.said[:end].decode().split("\n")
            self._read = end + 2


class Home(ServerFactory):
    """A FastAGI server that does nothing by itself: legs come, and stay until they are told something."""

    noisy = False

    def __init__(self, reactor: Any, port: int) -> None:
        self.reactor = reactor
        self.legs: list[Leg] = []
        """Every leg that came, in order."""
        self._port = port
        self._given: list[Leg] = []
        self._listening: Any = None

    def buildProtocol(self, addr: Any) -> Leg:
        leg = Leg(self.reactor)
        self.legs.append(leg)
        return leg

    def open(self) -> None:
        """Listen."""
        self._listening = self.reactor.listenTCP(self._port, self, interface="127.0.0.1")

    async def close(self) -> None:
        """Listen no more; who is there stays."""
        listening, self._listening = self._listening, None
        if listening is not None:
            stopped: Deferred[None] = listening.stopListening()
            await stopped

    async def comes(self, leg_id: str = "", seconds: float = SOON) -> Leg:
        """The next visit of that leg; without an id the first visit of one that never came before."""

        def wanted(leg: Leg) -> bool:
            if not leg.environment or leg in self._given:
                return False
            return leg.id == leg_id if leg_id else leg.id not in [given.id for given in self._given]

        def found() -> list[Leg]:
            return [leg for leg in self.legs if wanted(leg)]

        await until(self.reactor, lambda: bool(found()), seconds, f"{leg_id or 'a new leg'} comes home")
        self._given.append(leg := found()[0])
        return leg

    async def empty(self) -> None:
        """Let every leg go."""
        await self.close()
        for leg in self.legs:
            if not leg.closed:
                leg.leave()
        await until(self.reactor, lambda: all(leg.closed for leg in self.legs), SOON, "no leg is left")
