"""PostgreSQL behind its port: who may use it, and what goes wrong with a server."""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, gatherResults
from twisted.internet.task import LoopingCall, deferLater
from twisted.internet.threads import deferToThread

from easycall.defer import start
from easycall.ports import StoreUnavailable, StoreUnusable
from easycall.stats.journal import Journal
from easycall.store.contacts import ADD_EVENT, ContactArchive
from easycall.store.postgres import PostgreSQL
from easycall.store.postgres.address import Address, mends_itself

from .postgres import Cluster, running
from .test_record import STORY

pytestmark = pytest.mark.requirement("A3")

SOON = 10.0


@pytest.fixture(scope="module")
def own() -> Iterator[Cluster]:
    """A server that the tests of this module may stop and kill."""
    with running() as cluster:
        yield cluster


@pytest.fixture
def name(own: Cluster) -> Iterator[str]:
    name = own.create()
    yield name
    own.drop(name)


@pytest_twisted.async_yield_fixture
async def database(own: Cluster, name: str) -> AsyncIterator[PostgreSQL]:
    database = PostgreSQL(own.address(name), reactor)
    await database.open()
    yield database
    await database.close()


async def until(done: Callable[[], Awaitable[bool]], seconds: float = SOON) -> float:
    """Wait until it is so; how long that took."""
    began = time.monotonic()
    while not await done():
        assert time.monotonic() < began + seconds, f"not within {seconds:g} s"
        await deferLater(reactor, 0.02)
    return time.monotonic() - began


def answers(database: PostgreSQL) -> Callable[[], Awaitable[bool]]:
    async def asked() -> bool:
        try:
            return await database.query("SELECT 1") == [(1,)]
        except StoreUnavailable:
            return False

    return asked


@contextmanager
def lag() -> Iterator[list[float]]:
    """How long the reactor stood still, at most: the one value of the list in the end."""
    worst, last = [0.0], time.monotonic()

    def tick() -> None:
        nonlocal last
        now = time.monotonic()
        worst[0], last = max(worst[0], now - last - 0.01), now

    ticking = LoopingCall(tick)
    ticking.start(0.01)
    try:
        yield worst
    finally:
        ticking.stop()


def event(seq: int) -> tuple[object, ...]:
    return (seq, float(seq), "k", "", "", "{}")


# Who may use it


@pytest_twisted.ensureDeferred
async def test_the_first_start_makes_the_schema_over_tcp_with_a_password(own: Cluster) -> None:
    name = own.create("template0")
    database = PostgreSQL(own.address(name, tcp=True), reactor)
    await database.open()
    assert await ContactArchive(database).last() == 0
    await database.close()
    own.drop(name)


@pytest_twisted.ensureDeferred
async def test_a_name_is_looked_up(own: Cluster, name: str) -> None:
    at = own.address(name, tcp=True)
    database = PostgreSQL(Address(at.url.replace("127.0.0.1", "localhost"), at.password), reactor)
    await database.open()
    await database.close()
    with pytest.raises(StoreUnavailable, match=r"Name or service not known|name resolution"):
        await PostgreSQL(Address(at.url.replace("127.0.0.1", "no-such-host.invalid"), at.password), reactor).open()


@pytest_twisted.ensureDeferred
async def test_a_wrong_password_is_said_and_not_quoted(own: Cluster, name: str) -> None:
    at = own.address(name, tcp=True)
    with pytest.raises(StoreUnavailable, match="password authentication failed") as refused:
        await PostgreSQL(Address(at.url, "a wrong one"), reactor).open()
    assert "a wrong one" not in str(refused.value)
    assert "a wrong one" not in repr(Address(at.url, "a wrong one"))


@pytest_twisted.ensureDeferred
async def test_a_second_daemon_is_refused_until_the_first_has_gone(own: Cluster, name: str, database: PostgreSQL) -> None:
    second = PostgreSQL(own.address(name), reactor)
    with pytest.raises(StoreUnavailable, match="another easycall uses it"):
        await second.open()
    await database.close()
    await second.open()
    await second.close()


@pytest_twisted.ensureDeferred
async def test_two_first_starts_at_once_make_one_schema(own: Cluster) -> None:
    name = own.create("template0")
    two = [PostgreSQL(own.address(name), reactor) for _ in range(2)]
    outcomes: list[str] = []

    async def opened(one: PostgreSQL) -> None:
        try:
            await one.open()
            outcomes.append("open")
        except StoreUnavailable as why:
            outcomes.append(str(why).rpartition(": ")[2])

    await gatherResults([start(opened(one)) for one in two])
    assert sorted(outcomes) == ["another easycall uses it", "open"]
    for one in two:
        await one.close()
    own.drop(name)


@pytest_twisted.ensureDeferred
async def test_a_newer_schema_is_refused_and_left_alone(own: Cluster, name: str) -> None:
    own.sql("UPDATE alembic_version SET version_num = '9999'", name)
    with pytest.raises(StoreUnavailable, match=r"its schema is version 9999, this easycall knows versions up to \d{4}"):
        await PostgreSQL(own.address(name), reactor).open()
    assert own.sql("SELECT version_num FROM alembic_version", name) == [("9999",)]


@pytest_twisted.ensureDeferred
async def test_an_encoding_that_cannot_hold_every_name_is_refused(own: Cluster) -> None:
    own.sql("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    with pytest.raises(StoreUnavailable, match="its encoding is LATIN1"):
        await PostgreSQL(own.address("latin"), reactor).open()
    own.drop("latin")


@pytest_twisted.ensureDeferred
async def test_a_database_that_is_not_there_is_named(own: Cluster) -> None:
    with pytest.raises(StoreUnavailable, match='database "absent" does not exist'):
        await PostgreSQL(own.address("absent"), reactor).open()


@pytest_twisted.ensureDeferred
async def test_nobody_listens_there(own: Cluster) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and does not listen
        with pytest.raises(StoreUnavailable, match="refused"):
            await PostgreSQL(Address(f"postgresql://u@127.0.0.1:{bound.getsockname()[1]}/d"), reactor).open()


WRONG = [
    'FATAL:  password authentication failed for user "clerk"',
    'FATAL:  database "calls" does not exist',
    'FATAL:  role "clerk" does not exist',
    "FATAL:  Passwort-Authentifizierung für Benutzer »clerk« fehlgeschlagen",
    "FATAL:  la base de données « calls » n'existe pas".replace("« ", "«").replace(" »", "»"),
    'FATAL:  no pg_hba.conf entry for host "192.0.2.1", user "clerk", database "calls", no encryption',
    'FATAL:  permission denied for database "calls"',
    "fe_sendauth: no password supplied",
    "server does not support SSL, but SSL was required",
    "SSL error: certificate verify failed",
]
AWAY = [
    "Connection refused",
    "No route to host",
    "timeout expired",
    "FATAL:  the database system is starting up",
    "FATAL:  das Datenbanksystem startet",
    "FATAL:  the database system is shutting down",
    "FATAL:  the database system is in recovery mode",
    "FATAL:  sorry, too many clients already",
    'FATAL:  too many connections for role "clerk"',
    "server closed the connection unexpectedly",
    "[Errno -3] Temporary failure in name resolution",
    "no answer within 3 s",
]


@pytest.mark.parametrize("prefix", ["", 'connection to server at "192.0.2.9", port 5432 failed: '])
def test_what_mends_itself_is_told_from_what_the_operator_must_mend(prefix: str) -> None:
    address = Address("postgresql://clerk@192.0.2.9/calls")
    assert [said for said in WRONG if mends_itself(prefix + said, address)] == []
    assert [said for said in AWAY if not mends_itself(prefix + said, address)] == []


@pytest_twisted.ensureDeferred
async def test_a_wrong_password_and_a_database_that_is_not_there_are_not_waited_for(own: Cluster, name: str) -> None:
    at = own.address(name, tcp=True)
    for address in (Address(at.url, "a wrong one"), own.address("absent"), Address(at.url)):
        with pytest.raises(StoreUnusable):
            await PostgreSQL(address, reactor).open()


@pytest.mark.fault("F80")
@pytest_twisted.ensureDeferred
async def test_a_database_is_opened_when_its_server_is_there(own: Cluster, name: str) -> None:
    database = PostgreSQL(own.address(name), reactor)
    await deferToThread(own.stop)
    for _ in range(3):
        with pytest.raises(StoreUnavailable) as caught:
            await database.open()
        assert not isinstance(caught.value, StoreUnusable)
    await deferToThread(own.start)
    await database.open()
    assert await database.query("SELECT 1") == [(1,)]
    await database.close()


# What askers do


@pytest_twisted.ensureDeferred
async def test_a_statement_that_takes_too_long_is_ended_and_the_connection_goes_on(database: PostgreSQL) -> None:
    count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'easycall'"

    async def all_up() -> bool:
        return await database.query(count) == [(5,)]

    await until(all_up)
    with pytest.raises(StoreUnavailable, match="statement timeout"):
        await database.query("SELECT pg_sleep(60)")
    assert await database.query(count) == [(5,)]


@pytest_twisted.ensureDeferred
async def test_who_waits_no_more_disturbs_nobody_and_what_was_asked_is_done(database: PostgreSQL) -> None:
    asked = [start(database.query("SELECT pg_sleep(0.3)")) for _ in range(6)]
    asked.append(start(database.transact((ADD_EVENT, [event(1)]))))
    with lag() as worst:
        for one in asked:
            one.addErrback(lambda failure: failure.trap(CancelledError) and None)
            one.cancel()
        assert await database.query("SELECT 1") == [(1,)]
    assert worst[0] < 0.25
    assert await database.query("SELECT count(*) FROM events") in ([(0,)], [(1,)])


@pytest_twisted.ensureDeferred
async def test_what_was_asked_is_finished_before_it_closes(own: Cluster, name: str, database: PostgreSQL) -> None:
    asked = [start(database.transact((ADD_EVENT, [event(number)]))) for number in range(50)]
    await database.close()
    await gatherResults(asked)
    assert own.sql("SELECT count(*) FROM events", name) == [(50,)]
    with pytest.raises(StoreUnavailable, match="not open"):
        await database.query("SELECT 1")


# What happens to servers


@pytest.mark.fault("F83")
@pytest_twisted.ensureDeferred
async def test_connections_that_are_ended_are_made_again_unnoticed_by_readers(
    own: Cluster, name: str, database: PostgreSQL
) -> None:
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'easycall'"
    for _ in range(3):
        reading = [start(database.query("SELECT pg_sleep(0.2), 7")) for _ in range(8)]
        await deferToThread(own.sql, end, name)
        assert [rows[0][1] for rows in await gatherResults(reading)] == [7] * 8
    assert await database.query("SELECT 1") == [(1,)]


@pytest.mark.fault("F83", "F80")
@pytest.mark.parametrize("how", ["immediate", "fast"])
@pytest_twisted.ensureDeferred
async def test_a_server_that_is_away_for_a_while_loses_no_event(
    own: Cluster, name: str, database: PostgreSQL, how: str
) -> None:
    journal = Journal(reactor, ContactArchive(database))
    await journal.start()
    told = 0

    def tell(times: int) -> None:
        nonlocal told
        for _ in range(times):
            for one in STORY:
                journal.record(one)
                told += 1

    tell(50)
    with lag() as worst:
        await deferToThread(own.stop, how)
        tell(50)
        with pytest.raises(StoreUnavailable):
            await journal.flush()
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await database.query("SELECT 1")
        assert time.monotonic() - began < 0.25, "who asks a server that is away waits for nothing"
        await deferToThread(own.start)
        assert await until(answers(database)) < 3.0
        tell(50)
        await journal.flush()
    assert worst[0] < 0.25
    await journal.stop()
    assert own.sql("SELECT count(*), max(seq) FROM events", name) == [(told, told)]
    assert journal.dropped == 0


@pytest.mark.fault("F81")
@pytest.mark.seconds(60)
@pytest_twisted.ensureDeferred
async def test_a_server_that_hangs_blocks_nobody_and_heals(own: Cluster, name: str, database: PostgreSQL) -> None:
    await database.transact((ADD_EVENT, [event(0)]))
    with lag() as worst:
        own.freeze()
        try:
            began = time.monotonic()
            asked = [start(database.query("SELECT 1")), start(database.transact((ADD_EVENT, [event(1)])))]
            given_up = start(database.query("SELECT 1"))
            given_up.addErrback(lambda failure: failure.trap(CancelledError) and None)
            given_up.cancel()
            for one in asked:
                with pytest.raises(StoreUnavailable):
                    await one
            assert time.monotonic() - began < 4.0
            for _ in range(3):
                began = time.monotonic()
                with pytest.raises(StoreUnavailable, match="no answer within 3 s"):
                    await database.query("SELECT 1")
                assert time.monotonic() - began < 0.1, "only the first waits"
                await deferLater(reactor, 1.5)
        finally:
            own.thaw()
        await until(answers(database), 8.0)
    assert worst[0] < 0.25
    await database.transact((ADD_EVENT, [event(1), event(2)]))
    assert own.sql("SELECT count(*) FROM events", name) == [(3,)]


@pytest.mark.fault("F81")
@pytest_twisted.ensureDeferred
async def test_a_server_that_hangs_keeps_no_daemon_from_stopping(own: Cluster, name: str) -> None:
    database = PostgreSQL(own.address(name), reactor)
    await database.open()
    own.freeze()
    try:
        asked = start(database.transact((ADD_EVENT, [event(1)])))
        began = time.monotonic()
        with lag() as worst:
            await database.close()
        assert time.monotonic() - began < 4.0
        assert worst[0] < 0.25
        with pytest.raises(StoreUnavailable):
            await asked
        opening = PostgreSQL(own.address(name), reactor)
        with pytest.raises(StoreUnavailable, match="no answer within 3 s"):
            await opening.open()
    finally:
        own.thaw()
