"""What the tests of the wire stand on: a real Asterisk, an AMI link to it through the fault proxy, and its legs."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Coroutine
from typing import Any, Literal

from twisted.internet.defer import Deferred, DeferredQueue, maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint, clientFromString, connectProtocol
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from zope.interface import implementer

from easycall.asterisk.ami import Action, Message
from easycall.asterisk.fastagi import FastAgiFactory, Session
from easycall.asterisk.manager import Account, ActionRefused, Manager
from easycall.defer import limited, start
from easycall.lab.layout import State

from ..proxy import Proxy

SOON = 5.0
"""Seconds within which anything must happen that nothing delays."""

EVENTS = ("Newchannel", "Newstate", "Hangup", "OriginateResponse", "UserEvent")
"""What a link of the tests listens to."""


async def until(reactor: Any, condition: Callable[[], bool], seconds: float, expected: str) -> float:
    """Look again and again whether ``condition`` holds; after how many seconds it did.  AssertionError after ``seconds``."""
    began = reactor.seconds()
    while not condition():
        if reactor.seconds() > began + seconds:
            raise AssertionError(f"not within {seconds:g} s: {expected}")
        await deferLater(reactor, 0.002)
    return float(reactor.seconds() - began)


def outcome(work: Coroutine[Deferred[Any], Any, Any]) -> list[Any]:
    """Start work; the list gets its outcome, each time there is one."""
    outcomes: list[Any] = []
    start(work).addBoth(outcomes.append)
    return outcomes


def failed(outcomes: list[Any]) -> BaseException:
    """The one error that came of work."""
    [failure] = outcomes
    assert isinstance(failure, Failure), outcomes
    return failure.value  # type: ignore[no-any-return]


@implementer(IReactorTime)
class Hurried:
    """The time of a reactor, ``factor`` times as fast: for limits of many seconds."""

    def __init__(self, reactor: Any, factor: float) -> None:
        self._reactor = reactor
        self._factor = factor

    def seconds(self) -> float:
        return float(self._reactor.seconds() * self._factor)

    def callLater(self, delay: float, callable: Callable[..., Any], *args: object, **kw: object) -> IDelayedCall:
        return self._reactor.callLater(delay / self._factor, callable, *args, **kw)  # type: ignore[no-any-return]

    def getDelayedCalls(self) -> list[IDelayedCall]:
        return self._reactor.getDelayedCalls()  # type: ignore[no-any-return]


class Peer(Protocol):
    """A program that speaks to one of our ports by hand."""

    def __init__(self, says: bytes = b"") -> None:
        self._says = says
        self.heard = bytearray()
        self.closed_at: float | None = None
        self.reactor: Any = None

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.reactor = self.transport.reactor  # type: ignore[attr-defined]
        if self._says:
            self.transport.write(self._says)

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Any = None) -> None:
        self.closed_at = self.reactor.seconds()

    def leave(self) -> None:
        """Close the connection."""
        if self.closed_at is None and self.transport is not None:
            self.transport.loseConnection()


class Link:
    """An AMI link of ours, through a proxy that has every fault.

    ``endpoint`` is the daemon's option ``ami``; ``port`` is where the proxy leads, AMI or AMI over TLS as it says if 0.
    """

    def __init__(
        self,
        pbx: Pbx,
        account: str = "easycall",
        events: tuple[str, ...] = EVENTS,
        *,
        direct: bool = False,
        endpoint: str = "tcp:127.0.0.1:{port}",
        port: int = 0,
        login: Literal["md5", "plain"] = "md5",
    ) -> None:
        self.reactor = pbx.reactor
        ports = pbx.state.ports
        port = port or (ports.a_ami_tls if endpoint.startswith("tls:") else ports.a_ami)
        self.proxy = Proxy(self.reactor, port)
        self._port = port if direct else 0
        self._endpoint = endpoint
        self.heard: list[Message] = []
        self.ups: list[float] = []
        """When it was up, and had seen every channel."""
        self.synced_in: list[float] = []
        """How long it took to see every channel."""
        self.downs: list[tuple[float, str]] = []
        self._account = Account(account, pbx.state.secrets.get(account, pbx.state.secrets["easycall"]), login)
        self._events = events
        self.manager: Manager
        self.first_login: Deferred[None]

    async def begin(self) -> Link:
        """Begin to connect."""
        await self.proxy.start()
        self.manager = Manager(
            "pbx",
            clientFromString(self.reactor, self._endpoint.format(port=self._port or self.proxy.port)),
            self._account,
            self.reactor,
            events=dict.fromkeys(self._events, self.heard.append),
            connected=self._connected,
            lost=lambda reason: self.downs.append((self.reactor.seconds(), reason)),
        )
        self.first_login = self.manager.start()
        return self

    async def opened(self) -> Link:
        """Wait until it is up."""
        await self.up(1)
        return self

    async def _connected(self) -> None:
        began = self.reactor.seconds()
        await self.manager.collect(Action("Status"))
        self.synced_in.append(self.reactor.seconds() - began)
        self.ups.append(self.reactor.seconds())

    async def up(self, count: int, seconds: float = SOON) -> float:
        """Wait until it is up for the so-manieth time; when that was."""
        await until(
            self.reactor, lambda: len(self.ups) >= count, seconds, f"the link is up for the {count}. time: {self.downs}"
        )
        return self.ups[count - 1]

    async def down(self, count: int = 1, seconds: float = SOON) -> float:
        """Wait until it is lost for the so-manieth time; when that was."""
        await until(self.reactor, lambda: len(self.downs) >= count, seconds, f"link lost {count} times")
        return self.downs[count - 1][0]

    def send(self, name: str, seconds: float = SOON, **headers: Any) -> list[Any]:
        """Start an action; the list gets its outcome."""
        return outcome(self.manager.send(Action.of(name, **headers), seconds))

    def sent(self, pattern: bytes) -> int:
        """How often something was sent, over all connections."""
        return sum(connection.to_server.heard.count(pattern) for connection in self.proxy.accepted)

    def bytes_sent(self) -> int:
        """How many bytes that are no ping."""
        sent = b"".join(connection.to_server.heard for connection in self.proxy.accepted)
        return sum(len(action) for action in sent.split(b"\r\n\r\n") if not action.startswith(b"Action: Ping"))

    async def close(self) -> None:
        """Log off."""
        self.proxy.mend()
        await self.manager.stop()
        self.first_login.addErrback(lambda failure: None)
        await self.proxy.stop()


class Legs:
    """Our FastAGI server, at the port where the dialplan of the lab looks for it."""

    def __init__(self, reactor: Any, port: int, clock: IReactorTime | None = None) -> None:
        self.reactor = reactor
        self._port = port
        self._came: DeferredQueue[Session] = DeferredQueue(size=2000)
        self.factory = FastAgiFactory(self._came.put, clock or reactor)
        self._listening: Any = None
        self._peers: list[Peer] = []

    async def open(self) -> Legs:
        """Listen."""
        self._listening = self.reactor.listenTCP(self._port, self.factory, interface="127.0.0.1")
        return self

    async def comes(self, seconds: float = SOON) -> Session:
        """The next leg that comes home."""
        return await limited(self._came.get(), seconds, self.reactor)

    async def dial(self, says: bytes = b"") -> Peer:
        """Connect to it by hand, as a stranger."""
        peer = Peer(says)
        await connectProtocol(TCP4ClientEndpoint(self.reactor, "127.0.0.1", self._port), peer)
        self._peers.append(peer)
        return peer

    async def close(self) -> None:
        """Let every leg go."""
        await maybeDeferred(self._listening.stopListening)
        for peer in self._peers:
            peer.leave()
        await until(self.reactor, lambda: all(peer.closed_at for peer in self._peers), SOON, "no stranger is left")
        for session in list(self.factory.sessions):
            session.close()
        await until(self.reactor, lambda: not self.factory.sessions, SOON, "no session is left")


class Pbx:
    """The lab's PBX, seen and used with every right, past the proxy."""

    def __init__(self, state: State, reactor: Any) -> None:
        self.state = state
        self.reactor = reactor
        self._inspector = Link(self, "lab", ())
        self._open: list[Link | Legs] = []

    async def open(self) -> Pbx:
        """Log in."""
        await (await self._inspector.begin()).opened()
        for priority, step in enumerate(("Answer()", "Wait(600)"), 1):
            await self.command(f"dialplan add extension s,{priority},{step} into parked replace")
        return self

    async def link(self, **how: Any) -> Link:
        """An AMI link with the daemon's rights if not said otherwise, and up."""
        return await (await self.connecting(**how)).opened()

    async def connecting(self, **how: Any) -> Link:
        """An AMI link that has begun to connect."""
        link = Link(self, **how)
        self._open.append(link)
        return await link.begin()

    async def legs(self, clock: Any = None, port: int = 0) -> Legs:
        """A FastAGI server that the dialplan finds; or elsewhere."""
        legs = Legs(self.reactor, port or self.state.ports.agi, clock)
        self._open.append(legs)
        return await legs.open()

    # Calls

    async def call(self, *variables: str, number: str = "95588") -> str:
        """Let a leg come to the dialplan as a caller would, and give its id; the caller himself is ``far-`` and that id."""
        leg = f"leg-{secrets.token_hex(4)}"
        await self.send(
            "Originate",
            Channel=f"Local/{number}@easycall-in/n",
            ChannelId=f"far-{leg}",
            OtherChannelId=leg,
            Application="Wait",
            Data="600",
            Async="true",
            Variable=list(variables),
        )
        return leg

    async def park(self) -> str:
        """A leg that has nothing to do with us; its id."""
        leg = f"parked-{secrets.token_hex(4)}"
        how = {"ChannelId": leg, "Application": "Wait", "Data": "600", "Async": "true"}
        await self.send("Originate", Channel="Local/s@parked/n", **how)
        await self.appears(leg)
        return leg

    async def hang_up(self, leg: str) -> None:
        """The caller hangs up."""
        await self.send("Hangup", Channel=f"far-{leg}")

    async def send(self, name: str, **headers: Any) -> Message:
        """An action."""
        return await self._inspector.manager.send(Action.of(name, **headers))

    async def command(self, line: str) -> list[str]:
        """A command of Asterisk's console; what it prints."""
        return (await self.send("Command", Command=line)).all("Output")

    async def channels(self) -> dict[str, Message]:
        """Every channel, by its Uniqueid."""
        items = await self._inspector.manager.collect(Action("CoreShowChannels"))
        return {item.get("Uniqueid"): item for item in items if item.name == "CoreShowChannel"}

    async def appears(self, leg: str) -> None:
        """Wait until there is a channel."""
        began = self.reactor.seconds()
        while leg not in await self.channels():
            assert self.reactor.seconds() < began + SOON, f"{leg} is not there"
            await deferLater(self.reactor, 0.005)

    async def empty(self) -> None:
        """Wait until there is no channel any more."""
        for channel in await self.channels():
            await self.without(channel, SOON)

    async def without(self, leg: str, seconds: float) -> float:
        """Wait until a channel is gone; after how many seconds it was."""
        began = self.reactor.seconds()
        while leg in await self.channels():
            assert self.reactor.seconds() < began + seconds, f"{leg} is there after {seconds:g} s"
            await deferLater(self.reactor, 0.01)
        return float(self.reactor.seconds() - began)

    async def get(self, leg: str, name: str) -> str:
        """A variable of a channel."""
        return (await self.send("Getvar", Channel=leg, Variable=name)).get("Value")

    # Accounts

    async def account(self, name: str, **options: str) -> None:
        """Make or change an AMI account."""
        path = self.state.folder / "a/etc/manager.conf"
        text = path.read_text().partition(f"\n[{name}]\n")[0]
        lines = [f"{option} = {value}" for option, value in options.items()]
        path.write_text("\n".join((text, f"[{name}]", *lines, "")))
        await self.command("manager reload")

    # The end

    async def close(self) -> None:
        """Hang everybody up; nothing may be left."""
        for opened in reversed(self._open):
            await opened.close()
        for channel in await self.channels():
            try:
                await self.send("Hangup", Channel=channel)
            except ActionRefused:
                continue
        await self.empty()
        await self._inspector.close()
