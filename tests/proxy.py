"""A TCP proxy on loopback that does to a connection what networks, broken peers and bad luck do.

::

    proxy = await Proxy(reactor, port).start()      programs connect to proxy.port and reach port
    proxy.to_client.duplicate()                     what the server says comes twice, AMI message by AMI message
    proxy.to_client.drop(b"Event: Hangup")          messages with these bytes never arrive
    proxy.to_client.lose_events(chance)             events that are unlucky never arrive
    proxy.to_client.reorder(Random(1), 0.1)         events that come within 0.1 s arrive in another order
    proxy.to_client.corrupt(b"Uptime", b"Up\\0ime")
    proxy.to_client.say(b"garbage")                 said by nobody
    proxy.to_server.cut_at(b"Action: Originate")    cut before the first byte of it; or at the n-th byte: cut_at(1000)
    proxy.to_client.hold()                          silence, with no FIN; release() lets everything through
    proxy.to_client.hold(b"agent")                  on connections on which this was said
    proxy.to_client.delay = 0.3                     seconds
    proxy.to_client.rate = 2500                     bytes a second
    proxy.mend()                                    no faults any more
    proxy.reset()                                   cut what is connected now, by RST
    await proxy.refuse()                            no new connections, until start()
    await proxy.cut(3.0)                            be gone for so long
    await proxy.stop()

Faults hold for every connection, present and future, one direction each.  What was said is kept, with its times: messages().
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

END = b"\r\n\r\n"
"""Of an AMI message."""
GREETING = b"Asterisk Call Manager/"
LAST = 500
"""How many of the last pieces that came in are kept with their times, of one direction."""
PIECES_A_SECOND = 100
"""In how many pieces a slow link lets its bytes through."""

Fault = Callable[[bytes], Iterable[bytes]]
"""What comes of one AMI message."""


def is_told_event(message: bytes) -> bool:
    """True for an event Asterisk tells of its own: no answer and no item of a list, whose order has a meaning."""
    if not message.startswith(b"Event: "):
        return False
    return b"\r\nActionID: " not in message or message.startswith(b"Event: OriginateResponse")


def channel_of(message: bytes) -> bytes:
    """The Uniqueid an event is about, or anything that tells it from the events of other channels."""
    found = re.search(rb"\r\n(?:Dest)?Uniqueid: (\S+)", message)
    return found[1] if found else message


def in_channel_order(messages: list[bytes], shuffled: list[bytes]) -> list[bytes]:
    """``shuffled``, but the messages of each channel in the order in which they are in ``messages``."""
    queues: defaultdict[bytes, deque[bytes]] = defaultdict(deque)
    for message in messages:
        queues[channel_of(message)].append(message)
    return [queues[channel_of(message)].popleft() for message in shuffled]


class Way:
    """One direction through the proxy: its faults, and what passed."""

    def __init__(self) -> None:
        self.delay = 0.0
        """Seconds everything takes."""
        self.rate = float("inf")
        """Bytes a second that get through."""
        self.held = False
        self.held_with = b""
        self.passed = 0
        """Bytes that got through, over all connections."""
        self.faults: list[Fault] = []
        self.shuffle: tuple[Random, float, bool] | None = None
        self.cut: bytes | int | None = None
        self.pipes: set[Pipe] = set()
        self.last: deque[tuple[float, Pipe, bytes]] = deque(maxlen=LAST)
        """What went in last: when, over which connection, and what."""

    def messages(self, end: bytes) -> list[tuple[float, Pipe, str]]:
        """The last messages that were said, each with the time of its end, and where; ``end`` is what each ends with."""
        parts: defaultdict[Pipe, bytes] = defaultdict(bytes)
        found = []
        for at, pipe, data in self.last:
            *whole, parts[pipe] = (parts[pipe] + data).split(end)
            found += [(at, pipe, one.decode(errors="replace").strip()) for one in whole]
        return found

    # Messages

    def duplicate(self, pattern: bytes = b"") -> None:
        """Let each AMI message with ``pattern`` in it come twice."""
        self.faults.append(lambda message: [message] * (2 if pattern in message else 1))

    def drop(self, pattern: bytes, chance: Callable[[], bool] = lambda: True) -> None:
        """Lose AMI messages with ``pattern`` in them; ``chance`` says of each whether it is to be lost."""
        self.faults.append(lambda message: [] if pattern in message and chance() else [message])

    def lose_events(self, chance: Callable[[], bool]) -> None:
        """Lose events Asterisk tells of its own, those of which ``chance`` says so; answers and lists pass."""
        self.faults.append(lambda message: [] if is_told_event(message) and chance() else [message])

    def corrupt(self, pattern: bytes, by: bytes) -> None:
        """Let AMI messages arrive with ``by`` in place of ``pattern``."""
        self.faults.append(lambda message: [message.replace(pattern, by)])

    def reorder(self, random: Random, seconds: float, *, within_channels: bool = False) -> None:
        """Keep events for so long, then let them through in a random order.

        The events of one channel keep theirs, as Asterisk does, unless ``within_channels``; answers and lists pass at once.
        """
        self.shuffle = (random, seconds, within_channels)

    # Bytes

    def cut_at(self, where: bytes | int) -> None:
        """Cut the connection, once: before the first byte of a pattern, or when so many more bytes have passed."""
        self.cut = where

    def say(self, data: bytes) -> None:
        """Send something on every connection that nobody said."""
        for pipe in self.pipes:
            pipe.push(data)

    def hold(self, pattern: bytes = b"") -> None:
        """Let nothing through any more, not even the end of a connection, where ``pattern`` was said, and all elsewhere."""
        self.held, self.held_with = True, pattern
        self._pump()

    def release(self) -> None:
        """Let everything through that was held."""
        self.held = False
        self._pump()

    def _pump(self) -> None:
        for pipe in list(self.pipes):
            pipe.pump()

    def mend(self) -> None:
        """No faults any more."""
        self.delay, self.rate, self.cut, self.shuffle = 0.0, float("inf"), None, None
        self.faults.clear()
        self.held = False
        for pipe in list(self.pipes):
            pipe.mend()


class Pipe:
    """One direction of one connection: bytes in, faults, bytes out."""

    def __init__(self, way: Way, clock: Any, cut: Callable[[], None]) -> None:
        self.far: Protocol | None = None
        """The end the bytes come out at."""
        self.heard = bytearray()
        """All that went in."""
        self.way = way
        self._clock = clock
        self._cut = cut
        self._part = b""  # of a message whose end has not come
        self._shuffling: list[bytes] = []
        self._queue: deque[tuple[float, bytes | None]] = deque()  # when it is due, and what; None: the end
        self._free_at = 0.0
        self._timers: dict[str, IDelayedCall] = {}
        self._tail = b""

    def feed(self, data: bytes) -> None:
        """Take what came in."""
        self.heard += data
        way = self.way
        way.last.append((self._clock.seconds(), self, data))
        if not way.faults and way.shuffle is None:
            self.push(data)
            return
        data = self._part + data
        if data.startswith(GREETING):
            greeting, found, data = data.partition(b"\n")
            if not found:
                self._part = greeting
                return
            self.push(greeting + found)
        *messages, self._part = data.split(END)
        for message in messages:
            self._pass(message + END)

    def _pass(self, message: bytes) -> None:
        messages = [message]
        for fault in self.way.faults:
            messages = [result for each in messages for result in fault(each)]
        for each in messages:
            if self.way.shuffle is not None and is_told_event(each):
                self._shuffling.append(each)
                if "shuffle" not in self._timers:
                    self._timers["shuffle"] = self._clock.callLater(self.way.shuffle[1], self._unshuffle)
            else:
                self.push(each)

    def _unshuffle(self) -> None:
        if (timer := self._timers.pop("shuffle", None)) is not None and timer.active():
            timer.cancel()
        messages, self._shuffling = self._shuffling, []
        if messages and self.way.shuffle is not None:
            random, _, within_channels = self.way.shuffle
            shuffled = random.sample(messages, len(messages))
            messages = shuffled if within_channels else in_channel_order(messages, shuffled)
        for message in messages:
            self.push(message)

    def _flush(self) -> None:
        """Put on the line what was kept back."""
        self._unshuffle()
        part, self._part = self._part, b""
        self.push(part)

    def mend(self) -> None:
        """Let everything out at once, from now on too."""
        self._flush()
        self._queue = deque((0.0, data) for _, data in self._queue)
        self._free_at = 0.0
        self.pump()

    def finish(self) -> None:
        """The end it came from is gone."""
        self._flush()
        self._queue.append((max(self._clock.seconds() + self.way.delay, self._free_at), None))
        self.pump()

    def push(self, data: bytes) -> None:
        """Put bytes on the line, behind what is there."""
        rate = self.way.rate
        size = max(1, len(data) if rate == float("inf") else int(rate / PIECES_A_SECOND))
        at = max(self._clock.seconds() + self.way.delay, self._free_at)
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            at += len(piece) / rate
            self._queue.append((at, piece))
        self._free_at = at
        self.pump()

    @property
    def _held(self) -> bool:
        return self.way.held and self.way.held_with in self.heard

    def pump(self) -> None:
        """Let out what is due."""
        if (timer := self._timers.pop("pump", None)) is not None and timer.active():
            timer.cancel()
        while self._queue and not self._held and self.far is not None:
            due, data = self._queue[0]
            if due > self._clock.seconds():
                self._timers["pump"] = self._clock.callLater(due - self._clock.seconds(), self.pump)
                return
            self._queue.popleft()
            self._out(data)

    def _out(self, data: bytes | None) -> None:
        transport: Any = self.far.transport if self.far is not None else None
        if transport is None:
            return
        if data is None:
            transport.loseConnection()
            return
        at = self._where_to_cut(data)
        if at is not None:
            data = data[:at]
            self._queue.clear()
            self.way.cut = None
        self.way.passed += len(data)
        transport.write(data)
        if at is not None:
            self._cut()

    def _where_to_cut(self, data: bytes) -> int | None:
        """How much of ``data`` still passes; None for all of it.  The first bytes of a pattern may have passed before."""
        where = self.way.cut
        if isinstance(where, int):
            self.way.cut = where - len(data)
            return where if len(data) >= where else None
        if where is None:
            return None
        before, joined = len(self._tail), self._tail + data
        self._tail = joined[max(0, len(joined) - len(where) + 1) :]
        at = joined.find(where)
        return max(0, at - before) if at >= 0 else None

    def close(self) -> None:
        """No more."""
        self.far = None
        self._queue.clear()
        self.way.pipes.discard(self)
        for timer in self._timers.values():
            if timer.active():
                timer.cancel()


class End(Protocol):
    """One of the two ends of a connection: what it says goes into its pipe."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.pipe: Pipe
        self.gone: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)  # type: ignore[union-attr]
        self._connection.made(self)

    def dataReceived(self, data: bytes) -> None:
        self.pipe.feed(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._connection.lost(self)
        self.gone.callback(None)

    # An end says no more than the other can take.  (Not the transport itself: that would end with the other.)

    def pauseProducing(self) -> None:
        if self.transport is not None:
            self.transport.pauseProducing()  # type: ignore[attr-defined]

    def resumeProducing(self) -> None:
        if self.transport is not None:
            self.transport.resumeProducing()  # type: ignore[attr-defined]

    def stopProducing(self) -> None:
        """The other is gone; its connectionLost follows."""


class Connection:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, reactor: Any, target: int) -> None:
        self._proxy = proxy
        self._endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", target)
        self._dialling: Deferred[Any] | None = None
        self.client, self.server = End(self), End(self)
        self.to_server = self.client.pipe = Pipe(proxy.to_server, reactor, lambda: self._cut(self.server, self.client))
        self.to_client = self.server.pipe = Pipe(proxy.to_client, reactor, lambda: self._cut(self.client, self.server))

    def made(self, end: End) -> None:
        """One end is connected; the client first."""
        if end is self.client:
            self._proxy.connections.add(self)
            self._proxy.accepted.append(self)
            self._dialling = connectProtocol(self._endpoint, self.server)
            self._dialling.addErrback(lambda failure: self.reset())
            return
        if self.client.transport is None:
            end.transport.abortConnection()  # type: ignore[union-attr]
            return
        for one, other in ((self.client, self.server), (self.server, self.client)):
            one.transport.registerProducer(other, True)  # type: ignore[union-attr]
            one.pipe.far = other
            one.pipe.way.pipes.add(one.pipe)
            one.pipe.pump()

    def lost(self, end: End) -> None:
        """One end is gone."""
        other = self.server if end is self.client else self.client
        other.pipe.close()
        if other.transport is not None:
            other.transport.unregisterProducer()  # type: ignore[attr-defined]
        end.transport = None
        if end.pipe.far is not None:
            end.pipe.finish()
        elif other.transport is not None:
            other.transport.loseConnection()
        elif self._dialling is not None:
            self._dialling.cancel()
        if self.client.transport is None and self.server.transport is None:
            self._proxy.connections.discard(self)

    def _cut(self, receiver: End, sender: End) -> None:
        """What passed still arrives; the sender sees a reset."""
        receiver.pipe.close()
        sender.pipe.close()
        receiver.transport.unregisterProducer()  # type: ignore[union-attr]
        receiver.transport.loseConnection()  # type: ignore[union-attr]
        sender.transport.abortConnection()  # type: ignore[union-attr]

    def reset(self) -> None:
        """Cut both ends by RST."""
        if self._dialling is not None:
            self._dialling.cancel()
        for end in (self.client, self.server):
            end.pipe.close()
            if end.transport is not None:
                end.transport.abortConnection()  # type: ignore[attr-defined]

    def gone(self) -> Deferred[Any]:
        """Fires when both ends are closed."""
        return DeferredList([end.gone for end in (self.client, self.server) if end.transport is not None])


class Proxy(Factory):
    """Forwards one port of this machine."""

    noisy = False

    def __init__(self, reactor: Any, target: int) -> None:
        self._reactor = reactor
        self._target = target
        self._listening: Any = None
        self.to_server, self.to_client = Way(), Way()
        self.connections: set[Connection] = set()
        """Those that are open, at one end at least."""
        self.accepted: list[Connection] = []
        """Every one so far."""
        self.port = 0

    def buildProtocol(self, addr: Any) -> End:
        return Connection(self, self._reactor, self._target).client

    async def start(self) -> Proxy:
        """Listen, on the same port each time."""
        self._listening = self._reactor.listenTCP(self.port, self, interface="127.0.0.1")
        self.port = self._listening.getHost().port
        return self

    async def refuse(self) -> None:
        """Take no new connections; what is connected stays so."""
        await maybeDeferred(self._listening.stopListening)

    async def stop(self) -> None:
        """Cut every connection and listen no more."""
        await self.refuse()
        gone = [connection.gone() for connection in self.connections]
        self.reset()
        await DeferredList(gone)

    async def cut(self, seconds: float) -> None:
        """Be gone for so long."""
        await self.stop()
        await deferLater(self._reactor, seconds)
        await self.start()

    def reset(self) -> None:
        """Cut every connection by RST; new ones are welcome."""
        for connection in list(self.connections):
            connection.reset()

    def mend(self) -> None:
        """No faults any more."""
        self.to_server.mend()
        self.to_client.mend()
