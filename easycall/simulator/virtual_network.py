"""Who listens where in a :class:`easycall.simulator.virtual.VirtualReactor`, and who connects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.base import BaseConnector
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError, ConnectionRefusedError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import ClientFactory, ServerFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from easycall.simulator.virtual_tcp import Connection

if TYPE_CHECKING:
    from easycall.simulator.virtual import VirtualReactor

__all__ = ["Connector", "Network", "Port"]

FREE_PORTS = range(32_768, 61_000)
"""Of outgoing connections, and of who listens at any port."""


class Network:
    """Who listens where."""

    def __init__(self, reactor: VirtualReactor) -> None:
        self.reactor = reactor
        self._ports: dict[tuple[str, int], Port] = {}
        self._last = FREE_PORTS.start - 1

    def free_port(self) -> int:
        """A port that nobody listens at, and that was not given for long."""
        taken = {number for _, number in self._ports}
        while True:
            self._last = self._last + 1 if self._last + 1 in FREE_PORTS else FREE_PORTS.start
            if self._last not in taken:
                return self._last

    def add(self, port: Port) -> None:
        """Somebody listens.  Raises CannotListenError when somebody else does there."""
        interface, number = port.place
        for taken, other in self._ports:
            if other == number and (taken == interface or "" in (taken, interface)):
                raise CannotListenError(interface, number, OSError("Address already in use"))
        self._ports[port.place] = port

    def remove(self, port: Port) -> None:
        """Nobody listens there any more."""
        self._ports.pop(port.place, None)

    def find(self, host: str, number: int) -> Port | None:
        """Who listens there."""
        return self._ports.get((host, number)) or self._ports.get(("", number))


@implementer(IListeningPort)
class Port:
    """A port at which a factory listens."""

    def __init__(self, network: Network, number: int, factory: ServerFactory, interface: str) -> None:
        self._network = network
        self.factory = factory
        self.place = (_address(interface), number)

    def __repr__(self) -> str:
        return f"<{self.factory} at {self.place}>"

    def startListening(self) -> None:
        """Listen.  Raises CannotListenError."""
        interface, number = self.place
        self.place = (interface, number or self._network.free_port())
        self._network.add(self)
        self.factory.doStart()

    def stopListening(self) -> Deferred[None]:
        """Listen no more, from now on; the connections stay."""
        self._network.remove(self)
        self.factory.doStop()
        return succeed(None)

    def getHost(self) -> IPv4Address:
        """Where it listens."""
        interface, number = self.place
        return IPv4Address("TCP", interface or "0.0.0.0", number)  # noqa: S104 - what a socket says that listens everywhere


class Dialling(Connection):
    """The end of who connects, from the first try on."""

    def __init__(self, network: Network, connector: Connector) -> None:
        destination = connector.getDestination()
        bound, number = connector.bind_address or ("", 0)
        host = IPv4Address("TCP", _address(bound) or destination.host, number or network.free_port())
        super().__init__(network.reactor, host, destination)
        self._network = network
        self._connector = connector

    def failIfNotConnected(self, error: Exception) -> None:
        """Give up trying; see BaseConnector."""
        if not self.connected and not self.disconnected:
            self.disconnected = True
            self._connector.connectionFailed(Failure(error))

    def reach(self) -> None:
        """The try has come to its destination."""
        if self.disconnected:
            return
        port = self._network.find(self._peer.host, self._peer.port)
        if port is None:
            self.failIfNotConnected(ConnectionRefusedError())
            return
        accepted = Connection(self._reactor, self._peer, self._host)
        accepted.other, self.other = self, accepted
        self._reactor.soon(lambda: accepted.open(port.factory.buildProtocol(self._host)))
        self.open(self._connector.buildProtocol(self._peer))

    def _lose(self, reason: Failure) -> None:
        told = self.connected
        super()._lose(reason)
        if told:
            self._connector.connectionLost(reason)


class Connector(BaseConnector):
    """Connects a factory to a port, again and again if it wants to; see IConnector."""

    def __init__(
        self,
        network: Network,
        host: str,
        number: int,
        factory: ClientFactory[Any],
        timeout: float | None,
        bind_address: tuple[str, int] | None,
    ) -> None:
        super().__init__(factory, cast(float, timeout), cast(Any, network.reactor))
        self._network = network
        self._destination = IPv4Address("TCP", _address(host), number)
        self.bind_address = bind_address

    def getDestination(self) -> IPv4Address:
        """Where it connects to."""
        return self._destination

    def _makeTransport(self) -> Any:
        dialling = Dialling(self._network, self)
        reactor = self._network.reactor
        if reactor.latency is None:
            reactor.soon(dialling.reach)
        else:
            reactor.callLater(reactor.latency(), dialling.reach)
        return dialling


def _address(host: str) -> str:
    """The address of a host: only addresses are known, and "localhost"."""
    return "127.0.0.1" if host == "localhost" else host
