"""The database on a server of its own: PostgreSQL by txpostgres, without threads.

Four connections serve askers; one more, the keeper, holds the lock that says that this database is ours: while it does not,
nothing is read or written, as a second daemon would number its events like this one.  Each connection is made again
when it is lost.

A server that is away or hangs costs an asker at most three seconds; from then on everybody is refused at once, until it
answers again.  A statement is never cancelled, see :mod:`easycall.store.postgres.connection`.
"""

from __future__ import annotations

import random
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import psycopg2
from attrs import define, field
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from easycall.defer import Bell, first, limited, start
from easycall.ports import StatementRefused, StoreUnavailable
from easycall.store.postgres.address import LOCK, Address, refusal
from easycall.store.postgres.connection import SILENT_SECONDS, Connection, Statements

__all__ = ["PostgreSQL"]

log = Logger()
T = TypeVar("T")

LINES = 4
"""Connections that serve askers."""

ANSWER_SECONDS = 10.0
"""How long an asker waits, the turns of others before it included."""

MOST_WAITING = 1_000
"""Askers that wait for a connection; one more is refused."""

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 2.0
"""Seconds between two tries to connect."""

_REFUSED = (psycopg2.IntegrityError, psycopg2.DataError)
"""Faults of the values.  A table or a right that is missing is not among them: the operator can mend that."""

_LOST = (psycopg2.Error, OSError, TimeoutError)


@define(eq=False)
class _Ask:
    """What somebody asks, and where the answer goes.  An answer nobody waits for any more is let fall."""

    work: Callable[[Connection], Awaitable[Any]]
    again: bool
    """Whether it may be asked once more on another connection: it changes nothing."""
    answer: Deferred[Any] = field(factory=Deferred)


class _Wrong(Exception):
    """We do not use this database; the text says why."""


class PostgreSQL:
    """The :class:`~easycall.ports.Database` of one PostgreSQL database, used by one daemon at a time."""

    def __init__(self, address: Address, reactor: Any) -> None:
        """``reactor`` gives sockets, time, and the thread in which the schema is brought up to date."""
        self._address = address
        self._reactor = reactor
        self._clock: IReactorTime = reactor
        self._closing = Bell()
        self._closing.ring()
        self._running: list[Deferred[None]] = []
        self._connections: set[Connection] = set()
        self._idle: list[Connection] = []
        self._busy = 0
        self._asks: deque[_Ask] = deque()
        self._held = False
        self._trouble = ""
        self._told: list[Deferred[None]] = []

    async def open(self) -> None:
        """Connect, and create or upgrade the schema.  Raises StoreUnavailable with the reason in words."""
        self._closing, self._trouble = Bell(), ""
        try:
            self._begin(self._take_lock, self._keeper_up)
            await self._until(lambda: self._held)
            await self._migrate()
            for _ in range(LINES):
                self._begin(self._look, self._line_up)
            await self._until(lambda: bool(self._idle))
        except BaseException:
            self._shut()
            raise

    async def close(self) -> None:
        """Finish what was asked and disconnect.  A second time does nothing."""
        try:
            await limited(start(self._quiet()), ANSWER_SECONDS, self._clock)
        except TimeoutError:
            log.warn("database {at}: closed before all was stored that was asked", at=str(self._address))
        self._shut()
        await DeferredList(self._running)
        self._running.clear()

    async def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of one reading statement.  Raises StoreUnavailable and StatementRefused."""
        again = sql.lstrip()[:6].upper() == "SELECT"
        rows: list[tuple[Any, ...]] = await self._asked(lambda line: line.rows(sql, values), again=again)
        return rows

    async def transact(self, *statements: tuple[str, Any]) -> None:
        """Run each statement for each of its rows of values, all or nothing.  Raises as :meth:`query`."""
        kept: Statements = statements
        await self._asked(lambda line: line.transact(kept), again=False)

    # Asking

    async def _asked(self, work: Callable[[Connection], Awaitable[T]], *, again: bool) -> T:
        if self._closing.rung:
            raise self._unavailable("not open")
        if self._trouble and not self._works:
            raise self._unavailable(self._trouble)
        if len(self._asks) >= MOST_WAITING:
            raise self._unavailable("too many wait for it")
        ask = _Ask(work, again)
        timer = self._clock.callLater(ANSWER_SECONDS, self._fail, ask, f"no result within {ANSWER_SECONDS:g} s")
        self._asks.append(ask)
        self._turn()
        try:
            result: T = await ask.answer
            return result
        finally:
            _stop(timer)

    @property
    def _works(self) -> bool:
        return self._held and bool(self._idle or (self._busy and not self._trouble))

    def _turn(self) -> None:
        """Give idle connections what waits."""
        while self._held and self._idle and self._asks:
            ask = self._asks.popleft()
            if not ask.answer.called:
                self._serve(ask, self._idle.pop())

    def _serve(self, ask: _Ask, line: Connection) -> None:
        self._busy += 1

        async def serve() -> None:
            try:
                result = await ask.work(line)
            except Exception as why:
                self._busy -= 1
                self._failed(ask, line, why)
            else:
                self._busy -= 1
                self._well()
                if not ask.answer.called:
                    ask.answer.callback(result)
            if not line.gone.rung:
                self._idle.append(line)
            self._tell()
            self._turn()

        start(serve()).addErrback(lambda failure: log.failure("an asker of the database failed", failure))

    def _failed(self, ask: _Ask, line: Connection, why: Exception) -> None:
        if isinstance(why, psycopg2.Error) and (line.disconnected or _ended(why)):
            line.drop()
        if line.silent:
            self._hangs()
            self._fail(ask, f"no answer within {SILENT_SECONDS:g} s")
        elif line.gone.rung and ask.again and not self._closing.rung:
            ask.again = False
            self._asks.appendleft(ask)
        elif isinstance(why, _REFUSED):
            if not ask.answer.called:
                ask.answer.errback(StatementRefused(f"database {self._address}: {refusal(why)}"))
        elif isinstance(why, _LOST):
            self._fail(ask, refusal(why))
        elif not ask.answer.called:
            ask.answer.errback(why)

    def _hangs(self) -> None:
        """One connection that says nothing speaks for all: nobody else shall wait to find it out."""
        for line in tuple(self._idle):
            line.drop()
        self._has_trouble(f"no answer within {SILENT_SECONDS:g} s")

    def _fail(self, ask: _Ask, why: str) -> None:
        if not ask.answer.called:
            ask.answer.errback(self._unavailable(why))

    def _unavailable(self, why: str) -> StoreUnavailable:
        return StoreUnavailable(f"database {self._address}: {why}")

    # Connections

    def _begin(self, ready: Callable[[Connection], Awaitable[None]], up: Callable[[Connection], Callable[[], None]]) -> None:
        running = start(self._keep_up(ready, up))
        self._running.append(running.addErrback(lambda failure: log.failure("a connection to the database failed", failure)))

    async def _keep_up(
        self, ready: Callable[[Connection], Awaitable[None]], up: Callable[[Connection], Callable[[], None]]
    ) -> None:
        """Have one connection, for as long as the database is open.  ``up`` takes it and returns how to do without it."""
        pause = FIRST_PAUSE
        while not self._closing.rung:
            connection = Connection(self._reactor)
            self._connections.add(connection)
            trouble = await self._connected(connection, ready)
            if self._closing.rung:
                connection.drop()
            elif trouble:
                self._has_trouble(trouble)
                await self._rest(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                pause = FIRST_PAUSE
                await self._used(connection, up)
            self._connections.discard(connection)

    async def _connected(self, connection: Connection, ready: Callable[[Connection], Awaitable[None]]) -> str:
        """Connect; what is in the way, or nothing."""
        try:
            await connection.begin(self._address.url, {**self._address.wanted(), **await self._looked_up()})
            await ready(connection)
        except (_Wrong, *_LOST) as why:
            trouble = f"no answer within {SILENT_SECONDS:g} s" if connection.silent else refusal(why)
            connection.drop()
            return trouble
        return ""

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
        await first(deferLater(self._clock, seconds * random.uniform(0.5, 1.0)), self._closing.wait())  # noqa: S311 - a pause

    async def _used(self, connection: Connection, up: Callable[[Connection], Callable[[], None]]) -> None:
        down = up(connection)
        if self._works:
            self._well()
        self._tell()
        self._turn()
        try:
            await connection.gone.wait()
        finally:
            down()

    async def _take_lock(self, connection: Connection) -> None:
        try:
            await connection.rows("SELECT pg_advisory_lock(?)", (LOCK,))
        except psycopg2.errors.LockNotAvailable:
            raise _Wrong("another easycall uses it") from None

    async def _look(self, connection: Connection) -> None:
        """Whether what is behind the connection takes what we write."""
        [(encoding, follows)] = await connection.rows("SELECT current_setting('server_encoding'), pg_is_in_recovery()", ())
        if encoding != "UTF8":
            raise _Wrong(f"its encoding is {encoding}: make it with ENCODING 'UTF8' TEMPLATE template0")
        if follows:
            raise _Wrong("it is a standby, which takes nothing: give the address of the primary")

    def _keeper_up(self, keeper: Connection) -> Callable[[], None]:
        self._held = True

        def down() -> None:
            self._held = False

        return down

    def _line_up(self, line: Connection) -> Callable[[], None]:
        self._idle.append(line)

        def down() -> None:
            if line in self._idle:
                self._idle.remove(line)

        return down

    def _has_trouble(self, trouble: str) -> None:
        if not self._trouble:
            log.error("database {at}: {why}", at=str(self._address), why=trouble)
        self._trouble = trouble
        self._tell()
        if not self._works:
            while self._asks:
                self._fail(self._asks.popleft(), trouble)

    def _well(self) -> None:
        if self._trouble:
            log.info("database {at}: it answers again", at=str(self._address))
            self._trouble = ""

    # Opening and closing

    async def _migrate(self) -> None:
        """Bring the schema up to date, in a thread: we hold the lock, so nobody else does."""
        pool = self._reactor.getThreadPool()
        try:
            await deferToThreadPool(self._reactor, pool, _migrate, self._address)
        except (psycopg2.Error, _Wrong) as why:
            raise self._unavailable(refusal(why)) from why

    async def _until(self, done: Callable[[], bool]) -> None:
        """Wait until that is so.  Raises StoreUnavailable when something is in the way."""
        while not done():
            if self._trouble:
                raise self._unavailable(self._trouble)
            await self._change()

    async def _change(self) -> None:
        told: Deferred[None] = Deferred()
        self._told.append(told)
        await told

    def _tell(self) -> None:
        told, self._told = self._told, []
        for one in told:
            if not one.called:
                one.callback(None)

    async def _quiet(self) -> None:
        """Wait until nothing is asked any more, or nothing can be answered."""
        while self._works and (self._busy or self._asks):
            await self._change()

    def _shut(self) -> None:
        self._closing.ring()
        for connection in tuple(self._connections):
            connection.drop()
        while self._asks:
            self._fail(self._asks.popleft(), "not open")


def _ended(why: psycopg2.Error) -> bool:
    """Whether the server ended the connection: by a restart or an operator (57P..), or it broke (08.., no code at all)."""
    code = why.pgcode or ""
    return code.startswith(("57P", "08")) or (
        not code and isinstance(why, psycopg2.OperationalError | psycopg2.InterfaceError)
    )


def _stop(timer: IDelayedCall) -> None:
    if timer.active():
        timer.cancel()


def _migrate(address: Address) -> None:
    # Imported here: alembic and SQLAlchemy take a while to load, and only the thread needs them.
    from sqlalchemy.exc import DBAPIError

    from easycall.store import migrations

    try:
        migrations.upgrade_postgresql(address.connect)
    except DBAPIError as why:
        raise _Wrong(refusal(why.orig or why)) from why
    except migrations.SchemaTooNew as why:
        raise _Wrong(str(why)) from why
