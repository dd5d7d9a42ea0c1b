"""The AMI link on a real socket, and over TLS to one that is not the Asterisk it should be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, clientFromString
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import DefaultOpenSSLContextFactory
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from easycall.asterisk.ami import Action, Message
from easycall.asterisk.manager import Account, AmiError, LinkLost, LoginRefused, Manager
from easycall.defer import start
from easycall.lab.certificates import Authority

from .manager_bench import SECRET, Asterisk, item, lines_logged

reactor: Any = global_reactor


logged = pytest.fixture(lines_logged)


# On a real socket


class Server(Protocol):
    """The small Asterisk at the other end of a real connection."""

    def __init__(self, asterisk: Asterisk) -> None:
        self.asterisk = asterisk
        self._buffer = b""
        self.lost: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(b"Asterisk Call Manager/11.0.0\r\n")

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        *actions, self._buffer = (self._buffer + data).split(b"\r\n\r\n")
        for action in actions:
            self.transport.write(self.asterisk.respond(action).encode())

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        self.lost.callback(None)


class Servers(Factory):
    noisy = False

    def __init__(self) -> None:
        self.asterisk = Asterisk()
        self.made: list[Server] = []

    def buildProtocol(self, addr: Any) -> Server:
        self.made.append(Server(self.asterisk))
        return self.made[-1]


class Live:
    """A Manager on a real socket."""

    def __init__(self, servers: Servers, port: int) -> None:
        self.servers = servers
        self.events: list[Message] = []
        self.connected_at: list[float] = []
        self.waiting: Deferred[None] | None = None
        self.manager = Manager(
            "pbx",
            TCP4ClientEndpoint(reactor, "127.0.0.1", port),
            Account("easycall", SECRET),
            reactor,
            events={"Hangup": self.events.append},
            connected=self.connected,
            lost=lambda reason: None,
        )

    async def connected(self) -> None:
        self.connected_at.append(reactor.seconds())
        waiting, self.waiting = self.waiting, None
        if waiting is not None:
            waiting.callback(None)

    def up(self) -> Deferred[None]:
        self.waiting = Deferred()
        return self.waiting


@pytest_twisted.async_yield_fixture
async def live() -> AsyncIterator[Live]:
    servers = Servers()
    port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(servers)
    live = Live(servers, port.getHost().port)
    yield live
    await live.manager.stop()
    await port.stopListening()
    for server in servers.made:
        await server.lost


@pytest_twisted.ensureDeferred
async def test_live_log_in_lists_and_log_off(live: Live) -> None:
    up = live.up()
    await live.manager.start()
    await up
    live.servers.asterisk.answers["Status"] = "Response: Success\r\nActionID: {id}\r\nEventList: start\r\n\r\n" + "".join(
        [item("{id}", Uniqueid=str(number)) for number in range(500)]
        + [item("{id}", "StatusComplete", EventList="Complete")]
    )
    assert len(await live.manager.collect(Action("Status"))) == 501
    await live.manager.stop()
    assert live.servers.asterisk.names()[-1] == "Logoff"


@pytest_twisted.ensureDeferred
async def test_live_a_cut_is_repaired_within_half_a_second(live: Live) -> None:
    """F01, P4."""
    up = live.up()
    live.manager.start()
    await up
    pending = start(live.manager.send(Action("Test")))
    up, cut_at = live.up(), reactor.seconds()
    live.servers.made[-1].transport.abortConnection()  # type: ignore[union-attr]
    with pytest.raises(LinkLost):
        await pending
    assert reactor.seconds() - cut_at < 0.1
    await up
    assert live.connected_at[-1] - cut_at < 0.5


@pytest_twisted.ensureDeferred
async def test_live_a_burst_does_not_delay_an_action(live: Live) -> None:
    up = live.up()
    live.manager.start()
    await up
    live.servers.asterisk.answers["Test"] = "Response: Success\r\nActionID: {id}\r\n\r\n"
    filler = b"".join(b"Header%d: some value of a usual length\r\n" % number for number in range(14))
    burst = b"".join(b"Event: Hangup\r\nUniqueid: %d\r\n%s\r\n" % (number, filler) for number in range(10_000))
    live.servers.made[-1].transport.write(burst)  # type: ignore[union-attr]
    while not live.events:
        await deferLater(reactor, 0)
    asked = reactor.seconds()
    answer = start(live.manager.send(Action("Test")))
    while "Test" not in live.servers.asterisk.names():
        await deferLater(reactor, 0)
    assert reactor.seconds() - asked < 0.25  # the goal is 50 ms; a shared machine gets some more
    assert len(live.events) < 10_000
    assert (await answer).ok
    assert [event.get("Uniqueid") for event in live.events] == [str(number) for number in range(10_000)]


@pytest_twisted.ensureDeferred
async def test_live_a_wrong_secret(live: Live) -> None:
    live.servers.asterisk.secret = "another"
    with pytest.raises(LoginRefused):
        await live.manager.start()


@pytest_twisted.ensureDeferred
async def test_live_nobody_listens(live: Live) -> None:
    manager = Manager(
        "pbx",
        TCP4ClientEndpoint(reactor, "127.0.0.1", 9),
        Account("easycall", SECRET),
        reactor,
        events={},
        connected=live.connected,
        lost=lambda reason: None,
    )
    first_login = manager.start()
    with pytest.raises(AmiError):
        await manager.send(Action("Ping"))
    await deferLater(reactor, 0.05)
    await manager.stop()
    with pytest.raises(CancelledError):
        await first_login


# Over TLS, to one that is not the Asterisk it should be

UNTRUSTED = "is not signed by a CA we trust (trustRoots), or is not valid today"


class OverTls:
    """The small Asterisk with a certificate, and a Manager that sends its secret plain to the right one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.trusted = Authority("ours")
        (folder / "trusted").mkdir()
        self.trusted.write(folder / "trusted/ca.pem")
        self.servers = Servers()
        self.told: list[str] = []

    async def tried(self, seconds: float) -> None:
        """Let the Manager do what it can in so many seconds, or until it is connected."""
        certificate = DefaultOpenSSLContextFactory(f"{self.folder}/peer.pem", f"{self.folder}/peer.pem")
        port = reactor.listenSSL(0, self.servers, certificate, interface="127.0.0.1")
        number = port.getHost().port
        manager = Manager(
            "pbx",
            clientFromString(reactor, f"tls:localhost:{number}:trustRoots={self.folder}/trusted"),
            Account("easycall", SECRET, "plain"),
            reactor,
            events={},
            connected=self.connected,
            lost=self.told.append,
        )
        manager.start().addErrback(lambda failure: failure.trap(CancelledError))
        limit = reactor.seconds() + seconds
        while reactor.seconds() < limit and not self.told:
            await deferLater(reactor, 0.01)
        await manager.stop()
        await maybeDeferred(port.stopListening)
        for server in self.servers.made:
            await server.lost

    async def connected(self) -> None:
        self.told.append("connected")


@pytest.fixture
def over_tls(tmp_path: Path) -> OverTls:
    return OverTls(tmp_path)


@pytest_twisted.ensureDeferred
async def test_a_certificate_for_the_host_of_a_ca_we_trust(over_tls: OverTls) -> None:
    over_tls.trusted.vouch(over_tls.folder / "peer.pem", "localhost")
    await over_tls.tried(5)
    assert over_tls.told == ["connected", "stopped"]
    assert over_tls.servers.asterisk.seen[0]["Secret"] == SECRET


@pytest.mark.parametrize("stranger", ["another CA", "expired", "another host"])
@pytest_twisted.ensureDeferred
async def test_a_stranger_gets_no_word_of_us(over_tls: OverTls, stranger: str, logged: list[str]) -> None:
    """A13."""
    peer = over_tls.folder / "peer.pem"
    if stranger == "another CA":
        Authority("ours").vouch(peer, "localhost")
    elif stranger == "expired":
        over_tls.trusted.vouch(peer, "localhost", valid=timedelta(minutes=-1))
    else:
        over_tls.trusted.vouch(peer, "localhost.example", "pbx")
    await over_tls.tried(1)
    assert over_tls.told == []
    assert over_tls.servers.asterisk.seen == []
    assert len(over_tls.servers.made) > 1
    [line] = [line for line in logged if line.startswith("AMI link")]
    why = "is for another host than the one we connect to" if stranger == "another host" else UNTRUSTED
    assert line == f"AMI link to pbx: TLS: the certificate of Asterisk {why}; trying again"


@pytest.mark.logs_failures
@pytest_twisted.ensureDeferred
async def test_a_certificate_that_names_nobody_is_no_certificate_for_everybody(over_tls: OverTls, logged: list[str]) -> None:
    """Twisted 26.10 lets it pass, and logs that as a failure."""
    over_tls.trusted.vouch(over_tls.folder / "peer.pem")
    await over_tls.tried(1)
    assert over_tls.told == []
    assert over_tls.servers.asterisk.seen == []
    assert len(over_tls.servers.made) > 1
    assert [line for line in logged if line.startswith("AMI link")] == [
        "AMI link to pbx: TLS: the certificate of Asterisk names no host: it needs a subjectAltName; trying again"
    ]
