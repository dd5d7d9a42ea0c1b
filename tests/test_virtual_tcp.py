"""TCP in virtual time: as on a real socket."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import pytest_twisted
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor as real
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, clientFromString, serverFromString
from twisted.internet.error import (
    CannotListenError,
    ConnectionRefusedError,
    NotConnectingError,
    UserError,
)
from twisted.internet.error import TimeoutError as TcpTimeout
from twisted.internet.interfaces import (
    IConnector,
    IConsumer,
    IHalfCloseableProtocol,
    IListeningPort,
    IPushProducer,
    ITCPTransport,
)
from twisted.internet.protocol import ClientFactory, Protocol, ServerFactory
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from zope.interface import implementer
from zope.interface.verify import verifyObject

from easycall.asterisk.ami import Action
from easycall.asterisk.fastagi import FastAgiFactory, Session
from easycall.asterisk.manager import Account, Manager
from easycall.defer import start
from easycall.simulator.virtual import VirtualReactor

from .clocks import NOON
from .fakes_journal import Logged


class Talker(Protocol):
    """Tells what happens to its end of a connection."""

    def __init__(self, name: str, story: list[str], do: Callable[[Talker], None]) -> None:
        self.name = name
        self.story = story
        self.do = do
        self.read = b""
        self.over: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        self.story.append(f"{self.name} connected")
        self.do(self)

    def dataReceived(self, data: bytes) -> None:
        self.read += data

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self.story.append(f"{self.name} read {self.read!r}, lost: {type(reason.value).__name__}")
        self.over.callback(None)


@implementer(IHalfCloseableProtocol)
class HalfTalker(Talker):
    """Goes on when the other end writes no more."""

    def readConnectionLost(self) -> None:
        self.story.append(f"{self.name} read {self.read!r} to the end")
        self.transport.write(b"answer")  # type: ignore[union-attr]
        self.transport.loseConnection()  # type: ignore[union-attr]

    def writeConnectionLost(self) -> None:
        self.story.append(f"{self.name} has written")


class Factory(ClientFactory[Any], ServerFactory):
    """Both ends' factory."""

    noisy = False

    def __init__(self, made: Protocol | None, story: list[str] | None = None) -> None:
        self.made = made
        self.story = story if story is not None else []
        self.peer: Any = None

    def buildProtocol(self, addr: Any) -> Any:
        self.peer = addr
        return self.made

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        self.story.append(f"failed: {type(reason.value).__name__}")

    def clientConnectionLost(self, connector: Any, reason: Failure) -> None:
        self.story.append(f"connector: {type(reason.value).__name__}")


def nothing(end: Talker) -> None:
    """Wait for the other end."""


def writes_and_closes(end: Talker) -> None:
    end.transport.write(b"one ")  # type: ignore[union-attr]
    end.transport.writeSequence([b"two ", b"three"])  # type: ignore[union-attr]
    end.transport.loseConnection()  # type: ignore[union-attr]


def writes_behind_the_closing(end: Talker) -> None:
    end.transport.loseConnection()  # type: ignore[union-attr]
    end.transport.write(b"late")  # type: ignore[union-attr]
    end.transport.loseConnection()  # type: ignore[union-attr]


def aborts(end: Talker) -> None:
    end.transport.write(b"unsent")  # type: ignore[union-attr]
    end.transport.abortConnection()  # type: ignore[union-attr]
    end.transport.abortConnection()  # type: ignore[union-attr]


def closes_and_aborts(end: Talker) -> None:
    end.transport.loseConnection()  # type: ignore[union-attr]
    end.transport.abortConnection()  # type: ignore[union-attr]


def half_closes(end: Talker) -> None:
    end.transport.write(b"question")  # type: ignore[union-attr]
    end.transport.loseWriteConnection()  # type: ignore[union-attr]
    end.transport.write(b"too late")  # type: ignore[union-attr]


async def told(reactor: Any, client: Talker, server: Talker, story: list[str]) -> list[str]:
    """What both ends tell of one connection, each end's own in order."""
    port = reactor.listenTCP(0, Factory(server), interface="127.0.0.1")
    factory = Factory(client, story)
    reactor.connectTCP("127.0.0.1", port.getHost().port, factory)
    await client.over
    await server.over
    await deferLater(reactor, 0)
    await port.stopListening()
    return sorted(story)


SCRIPTS = [
    (Talker, writes_and_closes, Talker, nothing),
    (Talker, nothing, Talker, writes_and_closes),
    (Talker, writes_and_closes, Talker, writes_and_closes),
    (Talker, writes_behind_the_closing, Talker, nothing),
    (Talker, aborts, Talker, nothing),
    (Talker, nothing, Talker, aborts),
    (Talker, closes_and_aborts, Talker, nothing),
    (HalfTalker, half_closes, HalfTalker, nothing),
    (HalfTalker, half_closes, Talker, nothing),
    (Talker, half_closes, HalfTalker, nothing),
]


@pytest.mark.parametrize("latency", [None, 0.01], ids=["at once", "with latency"])
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: f"{script[1].__name__}-{script[3].__name__}")
@pytest_twisted.ensureDeferred
async def test_both_ends_see_what_they_see_on_a_real_socket(script: Any, latency: float | None) -> None:
    def ends(story: list[str]) -> tuple[Talker, Talker, list[str]]:
        client, client_does, server, server_does = script
        return client("client", story, client_does), server("server", story, server_does), story

    reactor = VirtualReactor(latency=None if latency is None else lambda: latency)
    virtually = start(told(reactor, *ends([])))
    reactor.advance(5)
    assert await virtually == await told(real, *ends([]))


class Listener(Protocol):
    """Keeps the pieces that come."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def dataReceived(self, data: bytes) -> None:
        self.pieces.append(data)


class Pair:
    """A connection with both ends in hand."""

    def __init__(self, **how: Any) -> None:
        self.reactor = VirtualReactor(NOON, **how)
        self.client, self.server = Listener(), Listener()
        self.port = self.reactor.listenTCP(5038, Factory(self.server), interface="127.0.0.1")
        self.connector = self.reactor.connectTCP("localhost", 5038, Factory(self.client))
        self.reactor.run_until(lambda: self.client.transport and self.server.transport)

    @property
    def here(self) -> Any:
        return self.client.transport

    @property
    def there(self) -> Any:
        return self.server.transport


def test_the_ends_of_a_connection_are_what_they_say() -> None:
    pair = Pair()
    for interface in (ITCPTransport, IConsumer, IPushProducer):
        assert verifyObject(interface, pair.here)
    assert verifyObject(IListeningPort, pair.port)
    assert verifyObject(IConnector, pair.connector)
    assert pair.here.getPeer() == pair.there.getHost() == pair.port.getHost() == pair.connector.getDestination()
    assert pair.here.getHost() == pair.there.getPeer()
    assert (pair.here.getPeer().host, pair.here.getPeer().port) == ("127.0.0.1", 5038)
    pair.here.setTcpNoDelay(True)
    pair.here.setTcpKeepAlive(1)
    assert (pair.here.getTcpNoDelay(), pair.here.getTcpKeepAlive()) == (True, True)
    assert (pair.here.connected, pair.here.disconnecting) == (True, False)
    with pytest.raises(TypeError):
        pair.here.write("text")


def test_what_is_written_in_one_turn_comes_in_one_piece_in_a_later_one() -> None:
    pair = Pair()
    pair.here.write(b"a")
    pair.here.writeSequence([b"b", b"c"])
    assert pair.server.pieces == []
    pair.reactor.turn()
    assert pair.server.pieces == [b"abc"]
    pair.here.write(b"d")
    pair.reactor.turn()
    assert pair.server.pieces == [b"abc", b"d"]
    assert pair.reactor.seconds() == NOON


def test_a_piece_takes_its_latency() -> None:
    pair = Pair(latency=lambda: 0.5)
    began = pair.reactor.seconds()
    pair.here.write(b"one")
    pair.reactor.advance(0.25)
    pair.here.write(b"two")
    pair.reactor.advance(0.25)
    assert pair.server.pieces == [b"one"]
    pair.reactor.advance(0.25)
    assert pair.server.pieces == [b"one", b"two"]
    assert pair.reactor.seconds() == began + 0.75


class Chatter(Protocol):
    """Answers, a random number of times, and says when it is spoken to within its own speaking."""

    def __init__(self, rnd: random.Random) -> None:
        self.random = rnd
        self.written = b""
        self.read = b""
        self.busy = False

    def connectionMade(self) -> None:
        self.speak()

    def dataReceived(self, data: bytes) -> None:
        assert not self.busy, "spoken to while speaking"
        self.read += data
        self.speak()

    def speak(self) -> None:
        self.busy = True
        for _ in range(self.random.choice([0, 1, 1, 2, 3])):
            words = self.random.randbytes(self.random.randint(0, 9))
            self.written += words
            self.transport.write(words)  # type: ignore[union-attr]
        self.busy = False


@given(st.integers(0, 10_000), st.sampled_from(["none", "zero", "some"]))
def test_streams_arrive_whole_and_in_order(seed: int, latencies: str) -> None:
    rnd = random.Random(seed)  # noqa: S311 - a test
    latency = {"none": None, "zero": lambda: 0.0, "some": lambda: rnd.choice([0.0, 0.001, 0.2])}[latencies]
    reactor = VirtualReactor(latency=latency)
    client, server = Chatter(rnd), Chatter(rnd)
    reactor.listenTCP(1, Factory(server))
    reactor.connectTCP("10.1.2.3", 1, Factory(client))
    with Logged() as failures:
        for _ in range(300):
            reactor.turn()
        for end in (client, server):
            if end.transport is not None:
                end.transport.loseConnection()
            reactor.advance(10)
    assert failures == []
    assert server.read == client.written
    assert client.written.startswith(server.read)
    assert server.written.startswith(client.read)


def test_nobody_there_is_a_refused_connection() -> None:
    reactor = VirtualReactor()
    factory = Factory(None)
    connector = reactor.connectTCP("127.0.0.1", 5038, factory)
    assert factory.story == []
    reactor.advance(0)
    assert factory.story == ["failed: ConnectionRefusedError"]
    port = reactor.listenTCP(5038, Factory(Listener()), interface="127.0.0.1")
    factory.made = Listener()
    connector.connect()
    reactor.advance(0)
    assert factory.made.connected
    connector.disconnect()
    reactor.advance(0)
    assert factory.story[1:] == ["connector: ConnectionDone"]
    port.stopListening()
    connector.connect()
    reactor.advance(0)
    assert factory.story[2:] == ["failed: ConnectionRefusedError"]
    assert reactor.getDelayedCalls() == []


def test_a_try_to_connect_ends_in_time_or_when_it_is_wanted() -> None:
    reactor = VirtualReactor(latency=lambda: 20.0)
    reactor.listenTCP(5038, Factory(Listener()))
    slow, given_up = Factory(None), Factory(None)
    reactor.connectTCP("127.0.0.1", 5038, slow, timeout=5)
    connector = reactor.connectTCP("127.0.0.1", 5038, given_up)
    reactor.advance(4)
    connector.stopConnecting()
    reactor.advance(60)
    assert (slow.story, given_up.story) == (["failed: TimeoutError"], ["failed: UserError"])
    assert {TcpTimeout.__name__, UserError.__name__} == {"TimeoutError", "UserError"}
    with pytest.raises(NotConnectingError):
        connector.stopConnecting()


def test_a_factory_that_wants_no_connection_closes_it() -> None:
    reactor, story = VirtualReactor(), []
    reactor.listenTCP(5038, Factory(None))
    reactor.connectTCP("127.0.0.1", 5038, Factory(Talker("client", story, nothing), story))
    reactor.advance(0)
    assert story == ["client connected", "client read b'', lost: ConnectionDone", "connector: ConnectionDone"]


def test_ports_are_taken_once() -> None:
    reactor = VirtualReactor()
    port = reactor.listenTCP(4573, Factory(None), interface="127.0.0.1")
    reactor.listenTCP(4573, Factory(None), interface="10.0.0.1")
    for interface in ("127.0.0.1", "localhost", ""):
        with pytest.raises(CannotListenError, match="Address already in use"):
            reactor.listenTCP(4573, Factory(None), interface=interface)
    port.stopListening()
    reactor.listenTCP(4573, Factory(None), interface="127.0.0.1")
    free = {reactor.listenTCP(0, Factory(None)).getHost().port for _ in range(50)}
    assert len(free) == 50
    assert 0 not in free


def test_who_connects_can_say_from_where() -> None:
    reactor = VirtualReactor()
    server = Factory(Listener())
    reactor.listenTCP(5038, server)
    reactor.connectTCP("127.0.0.1", 5038, Factory(Listener()), bindAddress=("127.0.0.9", 777))
    reactor.advance(0)
    assert (server.peer.host, server.peer.port) == ("127.0.0.9", 777)


@pytest.mark.logs_failures
def test_a_protocol_that_fails_loses_its_connection() -> None:
    pair = Pair()
    story: list[str] = []
    pair.server.dataReceived = lambda data: 1 / 0  # type: ignore[method-assign, assignment, return-value]
    pair.server.connectionLost = lambda reason: story.append(f"server {reason.type.__name__}")  # type: ignore
    pair.client.connectionLost = lambda reason: story.append(f"client {reason.type.__name__}")  # type: ignore
    pair.here.write(b"1")
    with Logged() as failures:
        pair.reactor.advance(0)
    assert len(failures) == 1
    assert story == ["server ZeroDivisionError", "client ConnectionDone"]


# Flow control


class Producer:
    """Writes when it is told to."""

    def __init__(self, consumer: Any, *, pull: bool) -> None:
        self.consumer = consumer
        self.pull = pull
        self.told: list[str] = []
        consumer.registerProducer(self, not pull)

    def resumeProducing(self) -> None:
        self.told.append("resume")
        if self.pull and len(self.told) <= 3:
            self.consumer.write(b"x" * 10)

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def stopProducing(self) -> None:
        self.told.append("stop")


def test_a_pull_producer_is_asked_whenever_all_is_taken() -> None:
    pair = Pair()
    producer = Producer(pair.here, pull=True)
    assert producer.told == ["resume"]
    pair.reactor.advance(0)
    assert producer.told == ["resume"] * 4
    assert pair.server.pieces == [b"x" * 10] * 3
    with pytest.raises(RuntimeError, match="was never unregistered"):
        Producer(pair.here, pull=False)


def test_a_streaming_producer_is_paused_by_a_reader_that_does_not_read() -> None:
    pair = Pair()
    producer = Producer(pair.here, pull=False)
    pair.there.pauseProducing()
    pair.here.write(b"x" * 60_000)
    pair.reactor.advance(1)
    assert (producer.told, pair.server.pieces) == ([], [])
    pair.here.write(b"y" * 60_000)
    pair.reactor.advance(1)
    assert (producer.told, pair.server.pieces) == (["pause"], [])
    pair.there.resumeProducing()
    assert pair.server.pieces == []
    pair.reactor.advance(0)
    assert producer.told == ["pause", "resume"]
    assert [len(piece) for piece in pair.server.pieces] == [60_000, 60_000]


def test_a_connection_closes_when_its_producer_has_ended() -> None:
    pair = Pair()
    producer = Producer(pair.here, pull=False)
    pair.here.write(b"one")
    pair.here.loseConnection()
    pair.reactor.advance(1)
    assert pair.here.connected
    pair.here.write(b"two")
    pair.here.unregisterProducer()
    pair.reactor.advance(0)
    assert pair.server.pieces == [b"one", b"two"]
    assert (pair.here.connected, pair.there.connected, producer.told) == (False, False, [])
    late = Producer(pair.here, pull=False)
    assert late.told == ["stop"]


def test_a_producer_is_stopped_with_its_connection() -> None:
    pair = Pair()
    producer = Producer(pair.here, pull=False)
    pair.there.abortConnection()
    pair.reactor.advance(0)
    assert producer.told == ["stop"]
    pair.here.write(b"nobody reads this")
    pair.reactor.advance(0)
    assert pair.server.pieces == []


# Twisted's endpoints and our protocols on it


def test_endpoints_work_on_it() -> None:
    reactor = VirtualReactor()
    outcomes: list[Any] = []
    for server, client in (
        (serverFromString(reactor, "tcp:4573:interface=127.0.0.1"), clientFromString(reactor, "tcp:127.0.0.1:4573")),
        (TCP4ServerEndpoint(reactor, 5038), TCP4ClientEndpoint(reactor, "127.0.0.1", 5038)),  # type: ignore[arg-type]
    ):
        refused = client.connect(Factory(Listener()))
        refused.addErrback(lambda failure: outcomes.append(failure.trap(ConnectionRefusedError).__name__))
        reactor.advance(0)
        here, there = Listener(), Listener()
        server.listen(Factory(there)).addCallback(outcomes.append)
        client.connect(Factory(here)).addCallback(outcomes.append)
        reactor.advance(0)
        here.transport.write(b"hello")  # type: ignore[union-attr]
        reactor.advance(0)
        assert there.pieces == [b"hello"]
    assert [str(outcome) for outcome in outcomes][::3] == ["ConnectionRefusedError"] * 2
    assert reactor.getDelayedCalls() == []


class ScriptedAmi(Protocol):
    """An Asterisk that lets anybody in, and answers everything with success."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._rest = b""

    def connectionMade(self) -> None:
        self.say(b"Asterisk Call Manager/11.0.0")

    def dataReceived(self, data: bytes) -> None:
        *actions, self._rest = (self._rest + data).split(b"\r\n\r\n")
        for action in actions:
            headers = dict(line.split(b": ", 1) for line in action.split(b"\r\n"))
            self.asked.append(headers[b"Action"].decode())
            answer = [b"Response: Success", b"ActionID: " + headers[b"ActionID"]]
            if headers[b"Action"] == b"Challenge":
                answer.append(b"Challenge: 840415273")
            self.say(*answer, b"")
            if headers[b"Action"] == b"Login":
                self.say(b"Event: FullyBooted", b"Uptime: 9", b"")

    def say(self, *lines: bytes) -> None:
        self.transport.write(b"".join(line + b"\r\n" for line in lines))  # type: ignore[union-attr]


def test_a_manager_lives_on_it_for_an_hour() -> None:
    reactor = VirtualReactor(NOON, latency=lambda: 0.001)
    asterisk = ScriptedAmi()
    reactor.listenTCP(5038, Factory(asterisk), interface="127.0.0.1")
    lost: list[str] = []
    ready: list[float] = []

    async def connected() -> None:
        ready.append(reactor.seconds())

    manager = Manager(
        "main",
        clientFromString(reactor, "tcp:127.0.0.1:5038"),
        Account("easycall", "secret"),
        reactor,
        events={},
        connected=connected,
        lost=lost.append,
    )
    manager.start()
    reactor.run_until(lambda: ready, within=1)
    assert manager.linked
    assert manager.uptime == pytest.approx(9, abs=0.1)
    answers: list[Any] = []
    start(manager.send(Action("CoreStatus"))).addCallback(answers.append)
    reactor.advance(3600)
    assert answers[0].ok
    assert asterisk.asked[:2] == ["Challenge", "Login"]
    assert asterisk.asked.count("Ping") == pytest.approx(1800, abs=2)
    stopped = start(manager.stop())
    reactor.advance(2)
    assert stopped.called
    assert lost == ["stopped"]
    assert reactor.getDelayedCalls() == []


class ScriptedLeg(Protocol):
    """A leg of an Asterisk that comes home and does what it is told."""

    def __init__(self) -> None:
        self.told: list[bytes] = []

    def connectionMade(self) -> None:
        self.transport.write(b"agi_network: yes\nagi_uniqueid: 17.1\n\n")  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        self.told.append(data)
        self.transport.write(b"200 result=0\n")  # type: ignore[union-attr]


def test_a_leg_is_served_on_it() -> None:
    reactor = VirtualReactor(NOON)
    served: list[str] = []

    async def serve(session: Session) -> None:
        await session.answer()
        await session.stream_file("hello")
        served.append(session.variables["agi_uniqueid"])
        session.close()

    factory = FastAgiFactory(lambda session: start(serve(session)) and None, reactor)
    serverFromString(reactor, "tcp:4573:interface=127.0.0.1").listen(factory)
    leg = ScriptedLeg()
    reactor.connectTCP("127.0.0.1", 4573, Factory(leg))
    reactor.advance(0)
    assert served == ["17.1"]
    assert leg.told == [b"ANSWER\n", b'STREAM FILE "hello" "" "0"\n']
    assert leg.transport.disconnected  # type: ignore[union-attr]
    assert factory.sessions == set()
    reactor.advance(2)
    assert reactor.getDelayedCalls() == []
