"""Programs in starpy's style, over loopback: callbacks, inline callbacks, connections that are made again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import CancelledError, Deferred, DeferredQueue, inlineCallbacks, maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from easycall.starpy import fastagi
from easycall.starpy.error import AMICommandFailure, Disconnected
from easycall.starpy.fastagi import FastAGIFactory, FastAGIProtocol
from easycall.starpy.manager import AMIFactory, AMIProtocol

from .starpy_peers import ENVIRONMENT, GREETING, until

reactor: Any = global_reactor


class Manager(Protocol):
    """An AMI server that answers a few actions; what its ``server`` says goes for every connection."""

    server: Server

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.rest = b""
        self.lost = False
        self.server.connections.append(self)
        self.transport.write(GREETING)

    def dataReceived(self, data: bytes) -> None:
        *blocks, self.rest = (self.rest + data).split(b"\r\n\r\n")
        for block in blocks:
            action = {
                name.lower(): value for name, _, value in (line.partition(": ") for line in block.decode().split("\r\n"))
            }
            self.server.seen.append(action)
            for message in self.server.answer(action):
                self.says(message.format(id=action["actionid"]))

    def connectionLost(self, reason: Any = None) -> None:
        self.lost = True

    def says(self, message: str) -> None:
        assert self.transport is not None
        self.transport.write(message.replace("\n", "\r\n").encode() + b"\r\n\r\n")


class Server(ServerFactory):
    """See Manager."""

    noisy = False

    def __init__(self) -> None:
        self.connections: list[Manager] = []
        self.seen: list[dict[str, str]] = []
        self.secret = "secret"

    def buildProtocol(self, addr: Any) -> Manager:
        manager = Manager()
        manager.server = self
        return manager

    def answer(self, action: dict[str, str]) -> Iterator[str]:
        name = action["action"].lower()
        if name == "login" and action["secret"] != self.secret:
            yield "Response: Error\nActionID: {id}\nMessage: Authentication failed"
        elif name == "logoff":
            yield "Response: Goodbye\nActionID: {id}"
            reactor.callLater(0, self.connections[-1].transport.loseConnection)
        elif name == "status":
            yield "Response: Success\nActionID: {id}\nEventList: start"
            yield "Event: Status\nActionID: {id}\nUniqueid: 1\nChannel: SIP/1"
            yield "Event: StatusComplete\nActionID: {id}\nItems: 1"
        elif name != "silence":
            yield "Response: Success\nActionID: {id}\nOutput: line one\nOutput: line two"


@pytest_twisted.async_yield_fixture
async def server() -> AsyncIterator[tuple[Server, int]]:
    """A Server and its port; connections are closed at the end."""
    ours = Server()
    port = reactor.listenTCP(0, ours, interface="127.0.0.1")
    yield ours, port.getHost().port
    await maybeDeferred(port.stopListening)
    for each in ours.connections:
        each.transport.abortConnection()  # type: ignore[union-attr]


def run_command(port: int, lines: list[str]) -> Deferred[Any]:
    """Log in, run a command, log off: callbacks inside of callbacks, as starpy's programs are written."""

    def on_connect(ami: AMIProtocol) -> Deferred[Any]:
        def on_result(result: list[str]) -> Deferred[Any]:
            lines.extend(result)
            return ami.logoff()

        def on_error(reason: Failure) -> Failure:
            return reason

        return ami.command("database show").addCallbacks(on_result, on_error)

    return AMIFactory("lab", "secret").login("127.0.0.1", port, timeout=5).addCallback(on_connect)


@inlineCallbacks
def call_an_extension(port: int, channel: str, place: tuple[str, str, str]) -> Any:
    """Connect a channel to a place in the dialplan."""
    ami = yield AMIFactory("lab", "secret").login("127.0.0.1", port)
    try:
        yield ami.originate(channel, *place)
        events = yield ami.status()
    finally:
        yield ami.logoff()
    return [event["channel"] for event in events if event.get("event") == "Status"]


class ChannelTracker:
    """Counts channels; a new AMIProtocol after each loss, by ``on_reconnect``."""

    def __init__(self) -> None:
        self.channels: dict[str, Any] = {}
        self.connections = 0

    def main(self, factory: AMIFactory, port: int) -> Deferred[Any]:
        factory.on_reconnect = self.use
        factory.initialDelay = 0.01
        return self.use(factory.login("127.0.0.1", port))

    def use(self, connecting: Deferred[AMIProtocol]) -> Deferred[Any]:
        return connecting.addCallback(self.on_connect).addErrback(lambda reason: reason.printTraceback())

    def on_connect(self, ami: AMIProtocol) -> Deferred[Any]:
        self.connections += 1
        ami.registerEvent("Newchannel", lambda ami, event: self.channels.setdefault(event["uniqueid"], event))
        ami.registerEvent("Hangup", self.on_hangup)
        return ami.status().addCallback(self.on_status)

    def on_status(self, events: list[Any]) -> None:
        for event in events:
            if "uniqueid" in event:
                self.channels[event["uniqueid"]] = event

    def on_hangup(self, ami: AMIProtocol, event: Any) -> None:
        del self.channels[event["uniqueid"]]


@pytest_twisted.ensureDeferred
async def test_a_program_of_callbacks(server: tuple[Server, int]) -> None:
    lines: list[str] = []
    answer = await run_command(server[1], lines)
    assert lines == ["line one", "line two"]
    assert answer["response"] == "Goodbye"
    assert [action["action"] for action in server[0].seen] == ["login", "command", "logoff"]
    await deferLater(reactor, 0.05)
    assert len(server[0].connections) == 1  # who logs off is not connected again


@pytest_twisted.ensureDeferred
async def test_a_program_of_inline_callbacks(server: tuple[Server, int]) -> None:
    assert await call_an_extension(server[1], "SIP/1", ("home", "s", "1")) == ["SIP/1"]
    assert server[0].seen[1]["exten"] == "s"


@pytest_twisted.ensureDeferred
async def test_a_program_with_on_reconnect(server: tuple[Server, int]) -> None:
    tracker, factory = ChannelTracker(), AMIFactory("lab", "secret")
    await tracker.main(factory, server[1])
    assert list(tracker.channels) == ["1"]
    server[0].connections[0].transport.abortConnection()  # type: ignore[union-attr]
    await until(lambda: tracker.connections == 2)
    server[0].connections[1].says("Event: Newchannel\nUniqueid: 2")
    server[0].connections[1].says("Event: Hangup\nUniqueid: 1")
    await until(lambda: list(tracker.channels) == ["2"])
    await factory.loginDefer
    factory.stopTrying()  # type: ignore[no-untyped-call]


@pytest_twisted.ensureDeferred
async def test_without_on_reconnect_handlers_go_over_to_the_next_connection(server: tuple[Server, int]) -> None:
    factory = AMIFactory("lab", "secret")
    factory.initialDelay = 0.01
    events: DeferredQueue[Any] = DeferredQueue()

    class Own(AMIProtocol):
        def connectionMade(self) -> None:
            super().connectionMade()
            self.registerEvent("Own", self.on_own)

        def on_own(self, ami: AMIProtocol, event: Any) -> None:
            events.put((self is ami, event["number"]))

    factory.protocol = Own
    ami = await factory.login("127.0.0.1", server[1])
    ami.registerEvent("Hangup", lambda ami, event: events.put((ami, event["uniqueid"])))
    factory.registerEvent("Shutdown", lambda ami, event: events.put((ami, "shutdown")))
    lost = ami.sendDeferred({"action": "silence"})
    await until(lambda: server[0].seen[-1]["action"] == "silence")
    server[0].connections[0].transport.abortConnection()  # type: ignore[union-attr]
    with pytest.raises(Disconnected):
        await lost
    await until(lambda: len(server[0].seen) == 3)
    again = await factory.loginDefer
    server[0].connections[1].says("Event: Hangup\nUniqueid: 1")
    server[0].connections[1].says("Event: Shutdown")
    server[0].connections[1].says("Event: Own\nNumber: 5")
    assert [await events.get(), await events.get(), await events.get()] == [(again, "1"), (again, "shutdown"), (True, "5")]
    await deferLater(reactor, 0)
    assert events.pending == []
    await again.logoff()


@pytest_twisted.ensureDeferred
async def test_a_connection_once_made_is_made_again_for_ever(
    server: tuple[Server, int], caplog: pytest.LogCaptureFixture
) -> None:
    """A refused connection and a refused log-in end nothing once there was one."""
    factory = AMIFactory("lab", "secret")
    factory.initialDelay = factory.maxDelay = 0.01
    await factory.login("127.0.0.1", server[1])
    server[0].secret = "changed"
    server[0].connections[0].transport.abortConnection()  # type: ignore[union-attr]
    await until(lambda: len(server[0].connections) > 3)
    server[0].secret = "secret"
    await until(lambda: factory.loginDefer.called)
    ami = await factory.loginDefer
    assert (await ami.ping())["response"] == "Success"
    assert "Authentication failed" in caplog.text
    await ami.logoff()


@pytest_twisted.ensureDeferred
async def test_an_asterisk_that_is_down_for_a_while_is_reached_again(server: tuple[Server, int]) -> None:
    port = reactor.listenTCP(0, server[0], interface="127.0.0.1")
    number = port.getHost().port
    factory = AMIFactory("lab", "secret")
    factory.initialDelay = factory.maxDelay = 0.01
    await factory.login("127.0.0.1", number)
    await maybeDeferred(port.stopListening)
    server[0].connections[0].transport.abortConnection()  # type: ignore[union-attr]
    await until(lambda: factory.retries > 3)
    assert not factory.loginDefer.called
    port = reactor.listenTCP(number, server[0], interface="127.0.0.1")
    ami = await factory.loginDefer
    await ami.logoff()
    await maybeDeferred(port.stopListening)


@pytest_twisted.ensureDeferred
async def test_the_first_log_in_refused_or_impossible_ends_it(server: tuple[Server, int]) -> None:
    factory = AMIFactory("lab", "wrong")
    factory.initialDelay = 0.01
    with pytest.raises(AMICommandFailure) as refused:
        await factory.login("127.0.0.1", server[1])
    assert refused.value.args[0]["message"] == "Authentication failed"
    await deferLater(reactor, 0.05)
    assert len(server[0].connections) == 1
    port = reactor.listenTCP(0, ServerFactory(), interface="127.0.0.1")
    number = port.getHost().port
    await maybeDeferred(port.stopListening)
    with pytest.raises(ConnectionRefusedError):
        await AMIFactory("lab", "secret").login("127.0.0.1", number)


@pytest_twisted.ensureDeferred
async def test_a_log_in_can_be_given_up(server: tuple[Server, int]) -> None:
    server[0].answer = lambda action: iter(())  # type: ignore[method-assign]
    work = AMIFactory("lab", "secret").login("127.0.0.1", server[1])
    await until(lambda: server[0].seen)
    work.cancel()
    with pytest.raises(CancelledError):
        await work
    await until(lambda: server[0].connections[0].lost)


def say_the_time(agi: FastAGIProtocol) -> Deferred[Any]:
    """A FastAGI program of a few steps, one after another."""
    sequence = fastagi.InSequence()
    sequence.append(agi.sayDateTime, 1700000000)
    sequence.append(agi.finish)
    return sequence().addErrback(lambda reason: agi.finish())


class CountingService:
    """Answers, waits, and says how often it was called: one callback after another."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, agi: FastAGIProtocol) -> Deferred[Any]:
        return agi.answer().addCallbacks(self.on_answered, lambda reason: agi.finish(), callbackArgs=(agi,))

    def on_answered(self, result: int, agi: FastAGIProtocol) -> Deferred[Any]:
        self.count += 1
        said = agi.wait(0.01).addCallback(lambda _: agi.sayNumber(self.count, "*"))
        return said.addBoth(lambda result: agi.finish())


class Caller(Protocol):
    """Asterisk's end of FastAGI: tells about its leg and answers every command."""

    def __init__(self) -> None:
        self.commands: list[str] = []
        self.rest = ""
        self.over: Deferred[list[str]] = Deferred()

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(ENVIRONMENT)

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        *lines, self.rest = (self.rest + data.decode()).split("\n")
        for line in lines:
            self.commands.append(line)
            self.transport.write(b"200 result=0\n")

    def connectionLost(self, reason: Any = None) -> None:
        self.over.callback(self.commands)


@pytest_twisted.ensureDeferred
async def test_programs_over_fast_agi() -> None:
    counting = CountingService()
    for program, expected in (
        (say_the_time, ['SAY DATETIME "1700000000" ""']),
        (counting, ["ANSWER", 'SAY NUMBER "1" "*"']),
        (counting, ["ANSWER", 'SAY NUMBER "2" "*"']),
    ):
        factory = FastAGIFactory(program)
        port = reactor.listenTCP(0, factory, 50, "127.0.0.1")
        try:
            address = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
            caller = await connectProtocol(address, Caller())
            assert await caller.over == expected
            await until(lambda: not factory.connections)  # noqa: B023
        finally:
            await maybeDeferred(port.stopListening)
