"""Connections to PostgreSQL that are kept: each is made again when it is lost, until all are closed."""

from __future__ import annotations

import random
import socket
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import psycopg2
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from easycall.defer import Bell, first, limited, start
from easycall.store.postgres.address import Address, mends_itself, refusal
from easycall.store.postgres.connection import SILENT_SECONDS, Connection
from easycall.store.postgres.ours import Wrong

__all__ = ["LOST", "Connections"]

log = Logger()

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 2.0
"""Seconds between two tries to connect."""

LOST = (psycopg2.Error, OSError, TimeoutError)
"""What a connection that is lost, or cannot be made, raises."""

Ready: TypeAlias = Callable[[Connection], Awaitable[None]]
Up: TypeAlias = Callable[[Connection], Callable[[], None]]


class Connections:
    """See the module."""

    def __init__(self, address: Address, reactor: Any, trouble: Callable[[str, bool], None]) -> None:
        """``trouble`` is told why a connection cannot be made, and whether that is one that does not mend itself."""
        self._address = address
        self._reactor = reactor
        self._clock: IReactorTime = reactor
        self._has_trouble = trouble
        self._running: list[Deferred[None]] = []
        self._connections: set[Connection] = set()
        self.closed = Bell()

    def begin(self, ready: Ready, up: Up) -> None:
        """Have one connection more from now on: ``ready`` makes it so, ``up`` takes it and returns how to do without it."""
        running = start(self._keep_up(ready, up))
        self._running.append(running.addErrback(lambda failure: log.failure("a connection to the database failed", failure)))

    async def _keep_up(self, ready: Ready, up: Up) -> None:
        """Have one connection, until all are closed."""
        pause = FIRST_PAUSE
        while not self.closed.rung:
            connection = Connection(self._reactor)
            self._connections.add(connection)
            trouble, wrong = await self._connected(connection, ready)
            if self.closed.rung:
                connection.drop()
            elif trouble:
                self._has_trouble(trouble, wrong or not mends_itself(trouble, self._address))
                await self._rest(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                pause = FIRST_PAUSE
                await self._used(connection, up)
            self._connections.discard(connection)

    async def _connected(self, connection: Connection, ready: Ready) -> tuple[str, bool]:
        """Connect; what is in the way, or nothing, and whether that is the database itself."""
        try:
            await connection.begin(self._address.url, {**self._address.wanted(), **await self._looked_up()})
            await ready(connection)
        except (Wrong, *LOST) as why:
            trouble = f"no answer within {SILENT_SECONDS:g} s" if connection.silent else refusal(why)
            connection.drop()
            return trouble, isinstance(why, Wrong)
        return "", False

    async def _looked_up(self) -> dict[str, str]:
        """The address of a host with a name: libpq would look it up on the reactor.  Raises OSError and TimeoutError."""
        host = self._address.host
        if not host:
            return {}
        pool = self._reactor.getThreadPool()
        looking = deferToThreadPool(self._reactor, pool, socket.getaddrinfo, host, self._address.port, 0, socket.SOCK_STREAM)
        found = await limited(looking, SILENT_SECONDS, self._clock)
        return {"hostaddr": str(found[0][4][0])}

    async def _rest(self, seconds: float) -> None:
        await first(deferLater(self._clock, seconds * random.uniform(0.5, 1.0)), self.closed.wait())  # noqa: S311 - a pause

    async def _used(self, connection: Connection, up: Up) -> None:
        down = up(connection)
        try:
            await connection.gone.wait()
        finally:
            down()

    def close(self) -> None:
        """Drop all, and make none any more."""
        self.closed.ring()
        for connection in tuple(self._connections):
            connection.drop()

    async def over(self) -> None:
        """Wait until nothing runs any more after :meth:`close`."""
        await DeferredList(self._running)
        self._running.clear()
