"""The database on a server of its own: PostgreSQL by txpostgres, without threads.

Four connections serve askers; one more, the keeper, holds the lock that says that this database is ours: while it does not,
nothing is read or written, as a second daemon would number its events like this one.  Each connection is made again
when it is lost.

A server that is away or hangs costs an asker at most three seconds; from then on everybody is refused at once, until it
answers again.  A statement is never cancelled, see :mod:`easycall.store.postgres.connection`.

==============  ===========================================================================
address.py      where the database is, and what the server's refusals mean
keeping.py      connections that are made again when they are lost
connection.py   one of them
ours.py         whether a database is ours to use, and its schema of today
reading.py      a database that is only read, by a command
==============  ===========================================================================
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import psycopg2
from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from easycall.defer import limited, start
from easycall.ports import StatementRefused, StoreUnavailable, StoreUnusable
from easycall.store.postgres import ours
from easycall.store.postgres.address import Address, refusal
from easycall.store.postgres.connection import SILENT_SECONDS, Connection, Statements
from easycall.store.postgres.keeping import LOST, Connections

__all__ = ["PostgreSQL"]

log = Logger()
T = TypeVar("T")

LINES = 4
"""Connections that serve askers: two more than :mod:`easycall.store.reports` lets reports have."""

ANSWER_SECONDS = 10.0
"""How long an asker waits, the turns of others before it included."""

MOST_WAITING = 1_000
"""Askers that wait for a connection; one more is refused."""

_REFUSED = (psycopg2.IntegrityError, psycopg2.DataError)
"""Faults of the values.  A table or a right that is missing is not among them: the operator can mend that."""


@define(eq=False)
class _Ask:
    """What somebody asks, and where the answer goes.  An answer nobody waits for any more is let fall."""

    work: Callable[[Connection], Awaitable[Any]]
    again: bool
    """Whether it may be asked once more on another connection: it changes nothing."""
    answer: Deferred[Any] = field(factory=Deferred)


class PostgreSQL:
    """The :class:`~easycall.ports.Database` of one PostgreSQL database, used by one daemon at a time."""

    def __init__(self, address: Address, reactor: Any) -> None:
        """``reactor`` gives sockets, time, and the thread in which the schema is brought up to date."""
        self._address = address
        self._reactor = reactor
        self._clock: IReactorTime = reactor
        self._connections = Connections(address, reactor, self._has_trouble)
        self._connections.close()
        self._idle: list[Connection] = []
        self._busy = 0
        self._asks: deque[_Ask] = deque()
        self._held = False
        self._trouble = ""
        self._complained = ""
        self._versions: tuple[str, ...] = ()
        """Of the schema that is there."""
        self._wrong = False
        """Whether the trouble is one that does not mend itself."""
        self._told: list[Deferred[None]] = []

    async def open(self) -> None:
        """Connect, and create or upgrade the schema; may be tried again.

        Raises, with the reason in words, StoreUnavailable while the server is away, and StoreUnusable when only the operator
        mends it.
        """
        await self._over()  # a try before this one
        self._connections = Connections(self._address, self._reactor, self._has_trouble)
        self._trouble, self._wrong = "", False
        try:
            self._connections.begin(self._take_lock, self._keeper_up)
            await self._until(lambda: self._held)
            await self._migrate()
            for _ in range(LINES):
                self._connections.begin(ours.check, self._line_up)
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
        await self._over()

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
        if self._connections.closed.rung:
            raise self._unavailable(self._trouble or "not open")
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
        elif line.gone.rung and ask.again and not self._connections.closed.rung:
            ask.again = False
            self._asks.appendleft(ask)
        elif isinstance(why, _REFUSED):
            if not ask.answer.called:
                ask.answer.errback(StatementRefused(f"database {self._address}: {refusal(why)}"))
        elif isinstance(why, LOST):
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

    async def _take_lock(self, connection: Connection) -> None:
        self._versions = await ours.lock(connection)

    def _keeper_up(self, keeper: Connection) -> Callable[[], None]:
        self._held = True
        self._came_up()

        def down() -> None:
            self._held = False

        return down

    def _line_up(self, line: Connection) -> Callable[[], None]:
        self._idle.append(line)
        self._came_up()

        def down() -> None:
            if line in self._idle:
                self._idle.remove(line)

        return down

    def _came_up(self) -> None:
        """One connection more is there."""
        if self._works:
            self._well()
        self._tell()
        self._turn()

    def _has_trouble(self, trouble: str, wrong: bool | None = None) -> None:
        if not self._trouble and trouble != self._complained:
            log.error("database {at}: {why}", at=str(self._address), why=trouble)
            self._complained = trouble
        self._trouble = trouble
        if wrong is not None:
            self._wrong = wrong
        self._tell()
        if not self._works:
            while self._asks:
                self._fail(self._asks.popleft(), trouble)

    def _well(self) -> None:
        if self._trouble:
            log.info("database {at}: it answers again", at=str(self._address))
            self._trouble = self._complained = ""

    # Opening and closing

    async def _migrate(self) -> None:
        """Bring the schema up to date, in a thread: we hold the lock, so nobody else does.

        There a server that hangs could block for ever, so it is not asked again when nothing is to be done.
        """
        pool = self._reactor.getThreadPool()
        try:
            await deferToThreadPool(self._reactor, pool, ours.migrate, self._address, self._versions)
        except psycopg2.OperationalError as why:
            raise self._unavailable(refusal(why)) from why
        except (psycopg2.Error, ours.Wrong) as why:
            raise StoreUnusable(f"database {self._address}: {refusal(why)}") from why

    async def _until(self, done: Callable[[], bool]) -> None:
        """Wait until that is so.  Raises StoreUnavailable and StoreUnusable when something is in the way."""
        while not done():
            if self._trouble and self._wrong:
                raise StoreUnusable(f"database {self._address}: {self._trouble}")
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

    async def _over(self) -> None:
        """Wait until nothing runs any more after :meth:`_shut`."""
        await self._connections.over()

    def _shut(self) -> None:
        self._connections.close()
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
