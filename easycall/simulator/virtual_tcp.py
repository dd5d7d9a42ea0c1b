"""One end of a TCP connection in memory.

What is written in one turn arrives in one piece and in order, in a later turn of the same moment or after a latency, and
never within the call that wrote it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableProtocol,
    IProducer,
    IProtocol,
    IPullProducer,
    IPushProducer,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

if TYPE_CHECKING:
    from easycall.simulator.virtual import VirtualReactor

__all__ = ["Connection"]

log = Logger()

BUFFER_BYTES = 64 * 1024
"""A streaming producer is paused while more is on its way."""

DONE = Failure(ConnectionDone())
LOST = Failure(ConnectionLost())
ABORTED = Failure(ConnectionAborted())

END = [b""]
"""In place of a piece of the stream: there is no more of it."""
RESET = [b""]
"""In place of a piece of the stream: the other end broke the connection off."""


@implementer(ITCPTransport, IConsumer, IPushProducer)
class Connection:
    """One end of a connection: its protocol's transport."""

    other: Connection
    protocol: IProtocol

    def __init__(self, reactor: VirtualReactor, host: IPv4Address, peer: IPv4Address) -> None:
        self._reactor = reactor
        self._host = host
        self._peer = peer
        self.connected = False
        self.disconnected = False
        self.disconnecting = False
        self.producer: IProducer | None = None
        self._streaming = False
        self._pausing = False
        self._flight: deque[list[bytes]] = deque()  # on its way to the other end
        self._piece: list[bytes] | None = None  # the last of it, while what is written still goes with it
        self._piece_at = 0.0
        self._writable = False
        self._aborting = False
        self._reading = True
        self._unread: deque[list[bytes]] = deque()  # what has arrived while we do not read
        self._no_delay = self._keep_alive = False

    def open(self, protocol: IProtocol | None) -> None:
        """The connection is there; without a protocol it is closed at once."""
        self.connected = self._writable = True
        self.protocol = protocol or Protocol()
        try:
            self.protocol.makeConnection(self)
        except Exception:
            self._broken()
        if protocol is None:
            self.loseConnection()

    # Writing

    def write(self, data: bytes) -> None:
        """Write; what comes too late is dropped."""
        if isinstance(data, str):
            raise TypeError("Data must not be str")
        if not self._writable or not data:
            return
        if self._piece is None or self._piece_at != self._reactor.seconds():
            self._piece = [data]
            self._piece_at = self._reactor.seconds()
            self._send(self._piece)
        else:
            self._piece.append(data)
        if self.producer is not None and self._streaming and not self._pausing and self._on_its_way() > BUFFER_BYTES:
            self._pausing = True
            cast(IPushProducer, self.producer).pauseProducing()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """Write."""
        self.write(b"".join(data))

    def _send(self, piece: list[bytes]) -> None:
        self._flight.append(piece)
        if self._reactor.latency is None:
            self._reactor.soon(self._arrive)
        else:
            self._reactor.callLater(self._reactor.latency(), self._arrive)

    def drop_unsent(self) -> None:
        """What was written in this moment, and has not arrived, is lost."""
        if self._piece is not None and self._piece_at == self._reactor.seconds() and self._piece in self._flight:
            self._flight.remove(self._piece)
            self._piece = None

    def _on_its_way(self) -> int:
        return sum(len(data) for piece in (*self._flight, *self.other._unread) for data in piece)

    def _arrive(self) -> None:
        """The first piece on its way is there, whichever latency has passed: a stream keeps its order."""
        if not self._flight:
            return  # broken off
        piece = self._flight.popleft()
        if piece is self._piece:
            self._piece = None
        other = self.other
        if other._reading or piece is RESET:
            other._take(piece)
        else:
            other._unread.append(piece)

    def _take(self, piece: list[bytes]) -> None:
        """A piece of the stream for our protocol, or its end."""
        if not self.connected or self.disconnecting or self._aborting:
            return
        if piece is RESET:
            self._lose(LOST)
        elif piece is END:
            self._no_more()
        else:
            try:
                self.protocol.dataReceived(piece[0] if len(piece) == 1 else b"".join(piece))
            except Exception:
                self._broken()
            if self.other.producer is not None:
                self.other._produce()

    # Closing

    def loseConnection(self) -> None:
        """Close when all is written, which a producer must have said (unregisterProducer)."""
        if self.connected and not self.disconnecting:
            self.disconnecting = True
            self._reactor.soon(self._close)

    def abortConnection(self) -> None:
        """Break off at once: what is on its way is lost."""
        if not self.connected or self._aborting:
            return
        self._aborting, self._writable = True, False
        self._flight.clear()
        self._send(RESET)
        self._reactor.soon(self._aborted)

    def loseWriteConnection(self) -> None:
        """Close the one direction when all is written, and go on reading."""
        self._reactor.soon(self._close_half)

    def _close_half(self) -> None:
        if self._writable:
            self._writable = False
            self._send(END)
            if IHalfCloseableProtocol.providedBy(self.protocol):
                self.protocol.writeConnectionLost()

    def _close(self) -> None:
        if self.producer is None and self.connected and not self._aborting:
            if self._writable:
                self._writable = False
                self._send(END)
            self._lose(DONE)

    def _aborted(self) -> None:
        self._lose(ABORTED)

    def _no_more(self) -> None:
        if IHalfCloseableProtocol.providedBy(self.protocol):
            self.protocol.readConnectionLost()
            return
        if self.other.connected:  # it closed its own direction only
            self._send(END)
        self._lose(DONE)

    def _broken(self) -> None:
        """Our protocol failed: as the real reactor does, the connection is closed and the failure said."""
        failure = Failure()
        log.failure("a protocol failed, its connection is closed", failure)
        if self.connected:
            self._writable = False
            self._send(END)
            self._lose(failure)

    def _lose(self, reason: Failure) -> None:
        if not self.connected:
            return
        self.connected = self._writable = False
        self.disconnected = True
        self._unread.clear()
        producer, self.producer = self.producer, None
        if producer is not None:
            producer.stopProducing()
        try:
            self.protocol.connectionLost(reason)
        except Exception:
            log.failure("a protocol failed at the loss of its connection")

    # What else a transport is asked

    def getHost(self) -> IPv4Address:
        """This end."""
        return self._host

    def getPeer(self) -> IPv4Address:
        """The other end."""
        return self._peer

    def getTcpNoDelay(self) -> bool:
        """What was set."""
        return self._no_delay

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Kept, and without effect: nothing is delayed."""
        self._no_delay = bool(enabled)

    def getTcpKeepAlive(self) -> bool:
        """What was set."""
        return self._keep_alive

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Kept, and without effect."""
        self._keep_alive = bool(enabled)

    # A producer writes to us

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """See IConsumer.  Raises RuntimeError when there is one."""
        if self.producer is not None:
            raise RuntimeError(f"cannot register {producer}: {self.producer} was never unregistered")
        if self.disconnected:
            producer.stopProducing()
            return
        self.producer, self._streaming, self._pausing = producer, streaming, False
        if not streaming:
            cast(IPullProducer, producer).resumeProducing()

    def unregisterProducer(self) -> None:
        """See IConsumer."""
        self.producer = None
        if self.connected and self.disconnecting:
            self._reactor.soon(self._close)

    def _produce(self) -> None:
        """What was written has been taken: ask for more."""
        if (not self._streaming or self._pausing) and not self._on_its_way():
            self._pausing = False
            cast(IPullProducer, self.producer).resumeProducing()

    # We are a producer of what we read

    def pauseProducing(self) -> None:
        """Read no more for now."""
        self._reading = False

    def resumeProducing(self) -> None:
        """Read on, in a later turn."""
        if self.connected and not self.disconnecting:
            self._reading = True
            self._reactor.soon(self._catch_up)

    def stopProducing(self) -> None:
        """Close."""
        self.loseConnection()

    def _catch_up(self) -> None:
        while self._unread and self._reading:
            self._take(self._unread.popleft())
