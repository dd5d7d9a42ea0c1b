"""The fault proxy itself: a fault that is not what its name says would let a test pass that proves nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from random import Random
from typing import Any

import pytest
import pytest_twisted
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from .proxy import Proxy, channel_of, in_channel_order, is_told_event

reactor: Any = global_reactor
SOON = 2.0


class Peer(Protocol):
    """One end of a connection: keeps what it hears, and how it ended."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self.heard_at: list[float] = []
        self.ended: type[BaseException] | None = None
        self._waiting: list[tuple[int, Deferred[None]]] = []

    def dataReceived(self, data: bytes) -> None:
        self.heard += data
        self.heard_at.append(reactor.seconds())
        self._look()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ended = type(reason.value)
        self._look()

    def _look(self) -> None:
        for entry in list(self._waiting):
            if len(self.heard) >= entry[0] or self.ended:
                self._waiting.remove(entry)
                entry[1].callback(None)

    async def hears(self, count: int) -> bytearray:
        """Wait for so many bytes in all, or the end."""
        if len(self.heard) < count and not self.ended:
            waiter: Deferred[None] = Deferred()
            self._waiting.append((count, waiter))
            await waiter.addTimeout(SOON, reactor)
        return self.heard

    async def ends(self) -> type[BaseException] | None:
        """Wait for the end, and say how it came."""
        await self.hears(1 << 60)
        return self.ended

    def says(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)

    def leaves(self) -> None:
        assert self.transport is not None
        self.transport.loseConnection()


class Servers(Factory):
    noisy = False

    def __init__(self) -> None:
        self.made: list[Peer] = []

    def buildProtocol(self, addr: Any) -> Peer:
        self.made.append(Peer())
        return self.made[-1]


class Stage:
    """A proxy, a server behind it, and clients."""

    def __init__(self) -> None:
        self.servers = Servers()
        self.listening = reactor.listenTCP(0, self.servers, interface="127.0.0.1")
        self.proxy = Proxy(reactor, self.listening.getHost().port)
        self.clients: list[Peer] = []

    async def dial(self) -> tuple[Peer, Peer]:
        """A client, and the server's end of its connection."""
        client: Peer = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", self.proxy.port), Peer())
        self.clients.append(client)
        client.says(b"hello")
        for _ in range(200):
            if self.servers.made and self.servers.made[-1].heard == b"hello":
                self.servers.made[-1].heard.clear()
                return client, self.servers.made[-1]
            await deferLater(reactor, 0.005)
        raise AssertionError("the server was not reached")

    async def close(self) -> None:
        await self.proxy.stop()
        await maybeDeferred(self.listening.stopListening)
        for peer in (*self.clients, *self.servers.made):
            await peer.ends()


@pytest_twisted.async_yield_fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    await stage.proxy.start()
    yield stage
    await stage.close()


def event(name: str, channel: str = "", **headers: str) -> bytes:
    lines = [f"Event: {name}", *([f"Uniqueid: {channel}"] if channel else []), *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


async def pause(seconds: float) -> None:
    await deferLater(reactor, seconds)


# Without faults


@pytest_twisted.ensureDeferred
async def test_bytes_pass_both_ways(stage: Stage) -> None:
    client, server = await stage.dial()
    client.says(b"a\r\nb")
    assert await server.hears(4) == b"a\r\nb"
    server.says(b"x" * 1_000_000)
    assert await client.hears(1_000_000) == b"x" * 1_000_000
    [connection] = stage.proxy.accepted
    assert connection.to_server.heard == b"helloa\r\nb"
    assert stage.proxy.to_client.passed == 1_000_000


@pytest_twisted.ensureDeferred
async def test_the_end_passes_behind_the_last_byte(stage: Stage) -> None:
    client, server = await stage.dial()
    server.says(b"bye")
    server.leaves()
    assert await client.ends() is ConnectionDone
    assert client.heard == b"bye"
    client, server = await stage.dial()
    client.leaves()
    assert await server.ends() is ConnectionDone
    await pause(0.01)
    assert not stage.proxy.connections


@pytest_twisted.ensureDeferred
async def test_a_server_that_is_not_there(stage: Stage) -> None:
    await stage.listening.stopListening()
    client: Peer = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", stage.proxy.port), Peer())
    assert await client.ends() is ConnectionLost
    await pause(0.01)
    assert not stage.proxy.connections


@pytest_twisted.ensureDeferred
async def test_a_reader_that_does_not_read_slows_the_writer_down(stage: Stage) -> None:
    """What a peer's kernel cannot take stays with the writer: nothing piles up between them."""
    client, server = await stage.dial()
    client.transport.pauseProducing()  # type: ignore[union-attr]
    for _ in range(300):
        server.says(b"x" * 100_000)
        await pause(0)
    await pause(0.1)
    assert len(stage.proxy.accepted[0].to_client.heard) < 20_000_000
    client.transport.resumeProducing()  # type: ignore[union-attr]
    assert len(await client.hears(30_000_000)) == 30_000_000


# Cuts


@pytest_twisted.ensureDeferred
async def test_reset_is_no_clean_end_and_new_connections_are_welcome(stage: Stage) -> None:
    client, server = await stage.dial()
    stage.proxy.reset()
    assert await client.ends() is ConnectionLost
    assert await server.ends() is ConnectionLost
    await stage.dial()


@pytest_twisted.ensureDeferred
async def test_a_cut_in_time_comes_back_on_the_same_port(stage: Stage) -> None:
    client, _ = await stage.dial()
    port = stage.proxy.port
    await stage.proxy.cut(0.05)
    assert await client.ends() is ConnectionLost
    assert stage.proxy.port == port
    await stage.dial()


@pytest.mark.parametrize("at", [0, 1, 5, 10])
@pytest.mark.parametrize("step", [1, 3, 10])
@pytest_twisted.ensureDeferred
async def test_a_cut_at_the_nth_byte(stage: Stage, at: int, step: int) -> None:
    client, server = await stage.dial()
    stage.proxy.to_client.cut_at(at)
    for start in range(0, 10, step):
        server.says(b"0123456789"[start : start + step])
        await pause(0.001)
    if at < 10 or step:
        await client.ends()
    assert client.heard == b"0123456789"[:at]
    assert await server.ends() is ConnectionLost
    client, server = await stage.dial()
    server.says(b"0123456789")
    assert await client.hears(10) == b"0123456789"


@pytest.mark.parametrize("pieces", [[b"one two three"], [b"one ", b"two three"]])
@pytest_twisted.ensureDeferred
async def test_a_cut_before_a_pattern(stage: Stage, pieces: list[bytes]) -> None:
    client, server = await stage.dial()
    stage.proxy.to_server.cut_at(b"two")
    for piece in pieces:
        client.says(piece)
        await pause(0.01)
    await server.ends()
    assert server.heard == b"one "
    assert await client.ends() is ConnectionLost


@pytest_twisted.ensureDeferred
async def test_a_pattern_in_two_pieces_is_seen(stage: Stage) -> None:
    client, server = await stage.dial()
    stage.proxy.to_server.cut_at(b"two")
    client.says(b"one t")
    await server.hears(5)
    client.says(b"wo three")
    await server.ends()
    assert server.heard == b"one t"


# Time


@pytest_twisted.ensureDeferred
async def test_silence_has_no_end_and_loses_nothing(stage: Stage) -> None:
    client, server = await stage.dial()
    stage.proxy.to_client.hold()
    server.says(b"late")
    client.says(b"one way only")
    assert await server.hears(12) == b"one way only"
    server.leaves()
    await server.ends()
    await pause(0.05)
    assert (client.heard, client.ended) == (b"", None)
    stage.proxy.to_client.release()
    assert await client.ends() is ConnectionDone
    assert client.heard == b"late"


@pytest_twisted.ensureDeferred
async def test_silence_of_some(stage: Stage) -> None:
    (one, at_one), (other, at_other) = await stage.dial(), await stage.dial()
    stage.proxy.to_client.hold()
    at_one.says(b"a")
    at_other.says(b"b")
    await pause(0.05)
    assert one.heard == other.heard == b""
    stage.proxy.to_client.hold(b"a")
    assert await other.hears(1) == b"b"
    assert one.heard == b""
    stage.proxy.to_client.release()
    assert await one.hears(1) == b"a"


@pytest_twisted.ensureDeferred
async def test_delay(stage: Stage) -> None:
    client, server = await stage.dial()
    stage.proxy.to_client.delay = 0.1
    said = reactor.seconds()
    server.says(b"one")
    await pause(0.03)
    server.says(b"two")
    server.leaves()
    await client.ends()
    assert client.heard == b"onetwo"
    assert 0.1 <= client.heard_at[0] - said < 0.5
    assert client.heard_at[-1] - client.heard_at[0] >= 0.025


@pytest_twisted.ensureDeferred
async def test_a_slow_link(stage: Stage) -> None:
    client, server = await stage.dial()
    stage.proxy.to_client.rate = 10_000
    said = reactor.seconds()
    server.says(b"x" * 2000)
    assert await client.hears(2000) == b"x" * 2000
    assert 0.19 <= client.heard_at[-1] - said < 0.6
    assert len(client.heard_at) > 3


@pytest_twisted.ensureDeferred
async def test_mending_lets_everything_out_at_once(stage: Stage) -> None:
    client, server = await stage.dial()
    stage.proxy.to_client.rate = 10
    server.says(b"x" * 2000)
    await pause(0.02)
    stage.proxy.mend()
    assert await client.hears(2000) == b"x" * 2000
    stage.proxy.to_client.hold()
    server.says(b"y")
    await pause(0.02)
    stage.proxy.mend()
    assert (await client.hears(2001))[-1:] == b"y"


# Messages


@pytest_twisted.ensureDeferred
async def test_faults_see_whole_messages_however_they_come(stage: Stage) -> None:
    client, server = await stage.dial()
    way = stage.proxy.to_client
    way.duplicate(b"Event: A")
    way.drop(b"Event: B")
    way.corrupt(b"x", b"\0")
    greeting = b"Asterisk Call Manager/11.0.0\r\n"
    for byte in greeting + event("A") + event("B") + event("C", x="1") + b"Event: D\r\n":
        server.says(bytes((byte,)))
        await pause(0)
    server.leaves()
    await client.ends()
    greeting = b"Asterisk Call Manager/11.0.0\r\n"
    assert (
        client.heard == greeting + event("A") * 2 + event("C").replace(b"\r\n\r\n", b"\r\n\0: 1\r\n\r\n") + b"Event: D\r\n"
    )


@pytest_twisted.ensureDeferred
async def test_a_chance_decides_about_each_message(stage: Stage) -> None:
    client, server = await stage.dial()
    chances = iter([True, False, True])
    stage.proxy.to_client.drop(b"Event: A", lambda: next(chances))
    server.says(event("A", "1") + event("A", "2") + event("B") + event("A", "3"))
    server.leaves()
    await client.ends()
    assert client.heard == event("A", "2") + event("B")


@pytest_twisted.ensureDeferred
async def test_only_events_told_of_their_own_can_be_unlucky(stage: Stage) -> None:
    client, server = await stage.dial()
    stage.proxy.to_client.lose_events(lambda: True)
    answer = b"Response: Success\r\nActionID: 1\r\n\r\n"
    item = event("Status", "17.1", ActionID="1")
    server.says(answer + event("A") + item)
    server.leaves()
    await client.ends()
    assert client.heard == answer + item


@pytest_twisted.ensureDeferred
async def test_what_was_said_is_kept_message_by_message(stage: Stage) -> None:
    one, _ = await stage.dial()
    other, _ = await stage.dial()
    began = reactor.seconds()
    one.says(b"first\r\n\r\nsec")
    other.says(b"third\r\n\r\n")
    await pause(0.02)
    one.says(b"ond\r\n\r\nrest")
    await pause(0.02)
    said = stage.proxy.to_server.messages(b"\r\n\r\n")
    assert [text.removeprefix("hello") for _, _, text in said] == ["first", "third", "second"]
    pipes = [connection.to_server for connection in stage.proxy.accepted]
    assert [pipes.index(pipe) for _, pipe, _ in said] == [0, 1, 0]
    assert said[2][0] - began >= 0.02
    assert stage.proxy.to_client.messages(b"\r\n\r\n") == []


@pytest_twisted.ensureDeferred
async def test_who_comes_later_is_refused_and_who_is_there_stays(stage: Stage) -> None:
    client, server = await stage.dial()
    await stage.proxy.refuse()
    with pytest.raises(ConnectError):
        await stage.dial()
    client.says(b"still here")
    assert await server.hears(10) == b"still here"
    await stage.proxy.start()
    await stage.dial()


@pytest_twisted.ensureDeferred
async def test_mending_lets_the_part_of_a_message_through(stage: Stage) -> None:
    client, server = await stage.dial()
    stage.proxy.to_client.drop(b"nothing")
    server.says(b"Event: A\r\n")
    await pause(0.02)
    assert client.heard == b""
    stage.proxy.mend()
    server.says(b"\r\n")
    assert await client.hears(12) == b"Event: A\r\n\r\n"


@pytest_twisted.ensureDeferred
async def test_what_nobody_said(stage: Stage) -> None:
    client, server = await stage.dial()
    stage.proxy.to_client.say(b"boo")
    assert await client.hears(3) == b"boo"
    assert stage.proxy.accepted[0].to_client.heard == b""
    assert server.heard == b""


@pytest.mark.parametrize("within", [False, True])
@pytest_twisted.ensureDeferred
async def test_events_in_another_order(stage: Stage, within: bool) -> None:
    client, server = await stage.dial()
    stage.proxy.to_client.reorder(Random(3), 0.05, within_channels=within)  # noqa: S311
    events = [event(f"E{n}", f"17.{n % 3}") for n in range(12)]
    answer = b"Response: Success\r\nActionID: 1\r\n\r\n"
    item = event("Status", "17.1", ActionID="1")
    server.says(b"".join(events) + answer + item)
    heard = (await client.hears(len(b"".join(events) + answer + item))).split(b"\r\n\r\n")[:-1]
    assert [message + b"\r\n\r\n" for message in heard[:2]] == [answer, item]
    messages = [message + b"\r\n\r\n" for message in heard[2:]]
    assert sorted(messages) == sorted(events)
    assert messages != events
    kept = all([m for m in messages if c in m] == [e for e in events if c in e] for c in (b"17.0", b"17.1", b"17.2"))
    assert kept is not within


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from(["1", "2", "3"])), max_size=12), st.randoms())
def test_channels_keep_their_order(named: list[tuple[str, str]], random: Random) -> None:
    messages = [event(name, channel, At=str(at)) for at, (name, channel) in enumerate(named)]
    ordered = in_channel_order(messages, random.sample(messages, len(messages)))
    assert sorted(ordered) == sorted(messages)
    for channel in (b"1", b"2", b"3"):
        assert [m for m in ordered if channel_of(m) == channel] == [m for m in messages if channel_of(m) == channel]


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (event("Hangup", "17.1"), True),
        (event("OriginateResponse", ActionID="1"), True),
        (event("Status", "17.1", ActionID="1"), False),
        (b"Response: Success\r\n\r\n", False),
    ],
)
def test_what_is_told_of_its_own(message: bytes, told: bool) -> None:
    assert is_told_event(message) is told
