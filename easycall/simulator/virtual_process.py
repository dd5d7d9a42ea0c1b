"""A process in virtual time, which can be killed while the others live on: a reactor of its own connections.

Its connections are closed by the system then, and whatever it still does reaches nobody.  It goes on all the same, as a
ghost, so that who made it can let everything in it come to its end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IReactorFromThreads, IReactorTCP, IReactorTime
from twisted.internet.protocol import ClientFactory, Protocol, ServerFactory
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from easycall.simulator.virtual import VirtualCall, VirtualReactor
from easycall.simulator.virtual_network import Connector, Port

__all__ = ["VirtualProcess"]

LOST = Failure(ConnectionLost())
NOWHERE = "0.0.0.0"  # noqa: S104 - nobody listens there
"""An address at which nobody can be reached."""

OF_A_TRY = ("startedConnecting", "clientConnectionFailed")
"""What a ghost hears, too: else a try to connect would never come to its end."""


@implementer(IReactorTime, IReactorTCP, IReactorFromThreads)
class VirtualProcess:
    """See the module; and :class:`VirtualReactor` for what each method does."""

    def __init__(self, machine: VirtualReactor) -> None:
        """``machine``: where it runs, with the others."""
        self.machine = machine
        self.alive = True
        self._protocols: list[Any] = []
        self._ports: list[Port] = []

    def kill(self) -> None:
        """Nothing reaches it, or comes from it, any more."""
        self.alive = False
        for port in self._ports:
            port.stopListening()
        for protocol in self._protocols:
            connection = protocol.transport
            if connection is not None and connection.connected:
                connection.protocol = Protocol()
                connection.producer = None
                connection.loseConnection()
                self.callLater(0, protocol.connectionLost, LOST)
        self._protocols.clear()

    def drop_unsent(self) -> None:
        """What was written in this moment stays in the process: it had no time to send it."""
        for protocol in self._protocols:
            connection = protocol.transport
            if connection is not None and connection.connected:
                connection.drop_unsent()

    # Time

    def seconds(self) -> float:
        """Now."""
        return self.machine.seconds()

    def callLater(self, delay: float, callable: Callable[..., Any], *args: object, **kwargs: object) -> VirtualCall:
        """Call later."""
        return self.machine.callLater(delay, callable, *args, **kwargs)

    def getDelayedCalls(self) -> Sequence[VirtualCall]:
        """What will be called on this machine."""
        return self.machine.getDelayedCalls()

    # Connections

    def listenTCP(self, port: int, factory: ServerFactory, backlog: int = 50, interface: str = "") -> Port:
        """Listen, until it stops or dies."""
        listening = self.machine.listenTCP(port, self._ours(factory), backlog, interface)
        self._ports.append(listening)
        return listening

    def connectTCP(
        self,
        host: str,
        port: int,
        factory: ClientFactory[Any],
        timeout: float | None = 30.0,
        bindAddress: tuple[str, int] | None = None,
    ) -> Connector:
        """Connect; the dead reach nobody."""
        host = host if self.alive else NOWHERE
        return self.machine.connectTCP(host, port, self._ours(factory), timeout, bindAddress)

    def _ours(self, factory: Any) -> Any:
        """The same factory, whose protocols are ours."""
        return _Factory(factory, self)

    def made(self, protocol: Any) -> None:
        """A protocol of ours."""
        self._protocols = [one for one in self._protocols if one.transport is None or one.transport.connected]
        self._protocols.append(protocol)

    # Threads

    def callFromThread(self, callable: Callable[..., Any], *args: object, **kwargs: object) -> None:
        """Call in a later turn of this moment."""
        self.callLater(0, callable, *args, **kwargs)

    def getThreadPool(self) -> ThreadPool:
        """There are no threads in virtual time.  Raises RuntimeError."""
        return self.machine.getThreadPool()


class _Factory:
    """A factory of a process, which hears nothing when that is dead."""

    def __init__(self, factory: Any, process: VirtualProcess) -> None:
        self._factory = factory
        self._process = process

    def __repr__(self) -> str:
        return repr(self._factory)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._factory, name)
        if not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            return found(*args, **kwargs) if self._process.alive or name in OF_A_TRY else None

        return call

    def buildProtocol(self, address: Any) -> Any:
        """Nobody is there when the process is dead."""
        if not self._process.alive:
            return None
        protocol = self._factory.buildProtocol(address)
        if protocol is not None:
            self._process.made(protocol)
        return protocol
