"""A TCP proxy on loopback that can be cut."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.internet.task import deferLater
from twisted.protocols.portforward import ProxyFactory, ProxyServer


class Connection(ProxyServer):
    """One connection through the proxy."""

    def connectionMade(self) -> None:
        self.factory.proxy.connections.add(self)
        super().connectionMade()

    def connectionLost(self, reason: Any) -> None:
        self.factory.proxy.connections.discard(self)
        super().connectionLost(reason)


class Proxy:
    """Forwards one port."""

    def __init__(self, reactor: Any, target: int) -> None:
        self._reactor = reactor
        self._factory = ProxyFactory("127.0.0.1", target)
        self._factory.noisy = False
        self._factory.protocol = Connection
        self._factory.proxy = self
        self._listening: Any = None
        self.connections: set[Connection] = set()
        self.port = 0

    async def start(self) -> Proxy:
        """Listen, on the same port each time."""
        self._listening = self._reactor.listenTCP(self.port, self._factory, interface="127.0.0.1")
        self.port = self._listening.getHost().port
        return self

    async def stop(self) -> None:
        """Cut every connection and listen no more."""
        await maybeDeferred(self._listening.stopListening)
        for connection in list(self.connections):
            connection.transport.abortConnection()
            if connection.peer is not None:
                connection.peer.transport.abortConnection()

    async def cut(self, seconds: float) -> None:
        """Be gone for so long."""
        await self.stop()
        await deferLater(self._reactor, seconds)
        await self.start()
