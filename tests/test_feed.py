"""The live feed over a real WebSocket: snapshot, events, filter, and clients that misbehave."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Ping, RejectConnection, RejectData, Request, TextMessage

from easycall.api import feed as feeds
from easycall.events import AgentChanged, ContactEnded, DataAttached, FlowStep, Offered, PbxUp, Queued, ScreenPop
from easycall.model import AgentState, EndedBy, Outcome
from easycall.policy import Channel
from tests.fakes_api import ANA, OTHER, TOKEN, Running, pause, running
from tests.test_record import STORY, C


@pytest_twisted.async_yield_fixture
async def site() -> AsyncIterator[Running]:
    async with running() as site:
        yield site


class Client(Protocol):
    """A small WebSocket client."""

    def __init__(self, host: str, target: str, token: str | None) -> None:
        self._ws = WSConnection(ConnectionType.CLIENT)
        headers = [(b"Authorization", f"Bearer {token}".encode())] if token else []
        self._request = Request(host, target, extra_headers=headers)
        self._text = ""
        self.messages: list[dict[str, Any]] = []
        self.status = 0
        self.rejection = b""
        self.code: int | None = None
        self.pings = 0
        self.answers_pings = True
        self.gone = False

    def connectionMade(self) -> None:
        self.transport.write(self._ws.send(self._request))

    def dataReceived(self, data: bytes) -> None:
        self._ws.receive_data(data)
        for event in self._ws.events():
            if isinstance(event, AcceptConnection):
                self.status = 101
            elif isinstance(event, RejectConnection):
                self.status = event.status_code
            elif isinstance(event, RejectData):
                self.rejection += event.data
            elif isinstance(event, TextMessage):
                self._text += event.data
                if event.message_finished:
                    self.messages.append(json.loads(self._text))
                    self._text = ""
            elif isinstance(event, Ping):
                self.pings += 1
                if self.answers_pings:
                    self.transport.write(self._ws.send(event.response()))
            elif isinstance(event, CloseConnection):
                self.code = event.code
                self.transport.write(self._ws.send(event.response()))
                self.transport.loseConnection()

    def connectionLost(self, reason: Failure | None = None) -> None:
        self.gone = True

    def say(self, text: str) -> None:
        self.transport.write(self._ws.send(TextMessage(text)))

    def leave(self) -> None:
        self.transport.abortConnection()

    @property
    def seqs(self) -> list[int]:
        return [message["seq"] for message in self.messages]


async def until(condition: Callable[[], object]) -> None:
    """Wait for it; the test's own time limit is the end."""
    while not condition():
        await pause()


async def joined(site: Running, query: str = "", token: str | None = TOKEN) -> Client:
    client: Client = await connectProtocol(
        TCP4ClientEndpoint(reactor, "127.0.0.1", site.port), Client("x", f"/api/v1/live{query}", token)
    )
    await until(lambda: client.messages or client.status not in (0, 101) or client.gone)
    return client


@pytest_twisted.ensureDeferred
async def test_snapshot_then_events_in_order(site: Running) -> None:
    site.contacts.add("c1", agent="ana")
    site.journal.record(PbxUp(at=1.0, pbx="main"))
    client = await joined(site)
    [snapshot] = client.messages
    assert (snapshot["kind"], snapshot["seq"]) == ("snapshot", 1)
    assert [agent["id"] for agent in snapshot["agents"]] == ["ana", "bo"]
    assert [queue["id"] for queue in snapshot["queues"]] == ["cards", "loans"]
    assert [contact["id"] for contact in snapshot["contacts"]] == ["c1"]
    for event in STORY:
        site.journal.record(event)
    await until(lambda: len(client.messages) == 1 + len(STORY))
    assert client.seqs == list(range(1, 2 + len(STORY)))
    pop = next(message for message in client.messages if message["kind"] == "screen.pop")
    assert pop == {
        "seq": 9,
        "kind": "screen.pop",
        "by": "",
        "at": 128.6,
        "contact": C,
        "agent": "bo",
        "attempt": 2,
        "caller": "0301",
        "caller_name": "Eva",
        "dialled": "95588",
        "queue": "cards",
        "direction": "inbound",
        "channel": "call",
        "waited": 23.6,
        "answers": {},
        "data": {"customer": "7"},
        "callback": "",
        "reason": "",
        "waited_before": 0.0,
    }


@pytest_twisted.ensureDeferred
async def test_an_event_of_the_same_turn_is_not_told_twice(site: Running) -> None:
    await joined(site, token=OTHER)  # so that the feed has a client and an event of this turn is kept for it
    real, told = site.api._feed.board, []

    def board(agent: str) -> Any:
        if not told:
            told.append(site.journal.record(PbxUp(at=1.0, pbx="before")))
        return real(agent)

    site.api._feed.board = board
    site.journal.record(PbxUp(at=0.0, pbx="earlier"))
    client = await joined(site)
    site.journal.record(PbxUp(at=2.0, pbx="after"))
    await until(lambda: client.messages[-1].get("pbx") == "after")
    assert client.seqs == sorted(set(client.seqs))
    assert [message.get("pbx") for message in client.messages] == [None, "before", "after"]


@pytest_twisted.ensureDeferred
async def test_one_agents_feed(site: Running) -> None:
    site.contacts.add("c1", agent="ana")
    site.contacts.add("c2", agent="bo")
    client = await joined(site, "?agent=ana")
    [snapshot] = client.messages
    assert [agent["id"] for agent in snapshot["agents"]] == ["ana"]
    assert [contact["id"] for contact in snapshot["contacts"]] == ["c1"]
    pop = {"attempt": 1, "caller": "1", "caller_name": "", "dialled": "2", "queue": "loans", "waited": 1.0}
    hers = [
        AgentChanged(at=1.0, agent="ana", contact="c9", state=AgentState.RINGING),
        ScreenPop(at=1.0, contact="c9", agent="ana", **pop),
        ContactEnded(at=3.0, contact="c9", outcome=Outcome.ANSWERED, ended_by=EndedBy.CALLER),
    ]
    others = [
        Queued(at=0.0, contact="c9", queue="loans", position=1),
        ScreenPop(at=1.0, contact="c8", agent="bo", **pop),
        Offered(at=1.0, contact="c9", agent="bo", queue="loans", attempt=2),
        FlowStep(at=1.0, contact="c8", flow="f", node="n"),
        PbxUp(at=1.0, pbx="main"),
    ]
    after = FlowStep(at=4.0, contact="c9", flow="f", node="n")
    for event in [
        others[0],
        *hers[:2],
        *others[1:],
        hers[2],
        after,
        AgentChanged(at=9.0, agent="ana", state=AgentState.READY),
    ]:
        site.journal.record(event)
    await until(lambda: client.messages[-1]["at"] == 9.0)
    kinds = [message["kind"] for message in client.messages[1:]]
    assert kinds == ["agent.changed", "screen.pop", "contact.ended", "agent.changed"]


@pytest_twisted.ensureDeferred
async def test_one_agents_feed_has_the_call_and_all_the_work_beside_it(site: Running) -> None:
    site.desk.agents["ana"].contact = "c9"
    site.desk.agents["ana"].work = {"r1": Channel.CHAT}
    client = await joined(site, "?agent=ana")
    work = {"r1": Channel.CHAT, "r2": Channel.MESSAGE}
    ana = {"at": 1.0, "agent": "ana", "contact": "c9", "state": AgentState.TALKING}
    for event in [
        AgentChanged(**ana, work=work),
        Offered(at=1.0, contact="r2", agent="ana", queue="loans", attempt=1),
        *(DataAttached(at=2.0, contact=contact, data={"of": contact}) for contact in ("r1", "r2", "c9", "r3")),
        AgentChanged(**ana, work={}),
        *(DataAttached(at=3.0, contact=contact, data={"of": contact}) for contact in ("r1", "r2", "c9")),
    ]:
        site.journal.record(event)
    await until(lambda: client.messages[-1]["at"] == 3.0)
    told = [(message["at"], message["contact"]) for message in client.messages if message["kind"] == "data.attached"]
    assert told == [(2.0, "r1"), (2.0, "r2"), (2.0, "c9"), (3.0, "c9")]


@pytest.mark.parametrize(
    ("query", "token", "status"),
    [("", None, 401), ("", "wrong", 401), (f"?token={TOKEN}", None, 400), ("?agent=zed", TOKEN, 404), ("?x=1", TOKEN, 400)],
)
@pytest_twisted.ensureDeferred
async def test_refused_before_the_upgrade(site: Running, query: str, token: str | None, status: int) -> None:
    client = await joined(site, query, token)
    assert client.status == status
    await until(lambda: client.rejection)
    assert json.loads(client.rejection)["status"] == status
    client.leave()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 426),
        ({"Upgrade": "h2c", "Connection": "Upgrade"}, 426),
        ({"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "8"}, 426),
        ({"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}, 400),
        ({"Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AQIDBAUGBwgJCgsMDQ4PEC=="}, 400),
    ],
)
@pytest_twisted.ensureDeferred
async def test_no_handshake_is_a_problem(site: Running, headers: dict[str, str], status: int) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    client = RawClient()
    await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", site.port), client)
    client.transport.write(f"GET /api/v1/live HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n{lines}\r\n".encode())
    await until(lambda: b"}" in client.heard)
    assert client.heard.startswith(b"HTTP/1.1 %d " % status)
    assert b"application/problem+json" in client.heard
    client.transport.loseConnection()


class RawClient(Protocol):
    heard = b""

    def dataReceived(self, data: bytes) -> None:
        self.heard += data


@pytest_twisted.ensureDeferred
async def test_a_slow_reader_is_cut_and_the_others_are_not(site: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "CLOSE_SECONDS", 0.2)
    slow, good = await joined(site), await joined(site)
    slow.transport.pauseProducing()
    sent = 0
    clients = site.api._feed._clients
    while len(clients) == 2:
        for _ in range(20):
            site.journal.record(PbxUp(at=1.0, pbx="x" * 1000))
            sent += 1
        await pause(0)
        most = max([client._bytes for client in clients])
        assert most <= feeds.MAX_BYTES + 2_000
        assert sent < 100_000
    await until(lambda: len(good.messages) == sent + 1)
    assert not good.gone
    slow.transport.resumeProducing()
    await until(lambda: slow.gone)
    assert len(slow.messages) < sent


@pytest_twisted.ensureDeferred
async def test_a_reader_that_catches_up_misses_nothing(site: Running) -> None:
    client = await joined(site)
    [subscription] = site.api._feed._clients
    client.transport.pauseProducing()
    sent = 0
    while not subscription._backlog:
        site.journal.record(PbxUp(at=1.0, pbx="x" * 50_000))
        sent += 1
        await pause(0)
    client.transport.resumeProducing()
    await until(lambda: len(client.messages) == sent + 1)
    assert client.seqs == list(range(sent + 1))
    # The connection is read on after the full buffer: its good-bye is heard.
    client.say("hello")
    client.transport.loseConnection()
    await until(lambda: not site.api._feed._clients)


@pytest.mark.parametrize("then", ["events", "ping"])
@pytest_twisted.ensureDeferred
async def test_a_client_that_says_good_bye_and_does_not_read_on(site: Running, then: str) -> None:
    gone, good = await joined(site), await joined(site)
    gone.transport.pauseProducing()
    slow = site.api._feed._clients[0]
    while len(slow._backlog) < 3:  # it grows: the sockets' own buffers are full, also after what the client says
        site.journal.record(PbxUp(at=1.0, pbx="x" * 50_000))
        gone.transport.write(gone._ws.send(TextMessage("x")))  # with it goes how much more its kernel would take
        await pause(0.02)
    gone.transport.write(gone._ws.send(CloseConnection(1000)))
    await pause(0.05)
    assert slow in site.api._feed._clients
    if then == "ping":
        slow.ping()
    for _ in range(2_000 if then == "events" else 1):
        site.journal.record(PbxUp(at=1.0, pbx="main"))
        await pause(0)
    await until(lambda: good.messages[-1]["seq"] == site.journal.last)
    await until(lambda: slow not in site.api._feed._clients)
    gone.transport.resumeProducing()
    await until(lambda: gone.gone)


@pytest_twisted.ensureDeferred
async def test_a_good_bye_and_an_event_cross(site: Running) -> None:
    for _ in range(20):
        leaving, good = await joined(site), await joined(site)
        leaving.transport.write(leaving._ws.send(CloseConnection(1000)))
        while not leaving.gone:
            site.journal.record(PbxUp(at=1.0, pbx="main"))
            await pause(0)
        await until(lambda good=good: good.messages[-1]["seq"] == site.journal.last)
        good.leave()


@pytest_twisted.ensureDeferred
async def test_dead_clients_are_found_by_ping(site: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "PING_SECONDS", 0.05)
    dead, alive = await joined(site), await joined(site)
    dead.answers_pings = False
    await until(lambda: dead.gone)
    await until(lambda: alive.pings > 4)
    assert dead.pings <= 3
    assert not alive.gone


@pytest_twisted.ensureDeferred
async def test_the_newest_of_a_token_win(site: Running) -> None:
    clients = [await joined(site) for _ in range(5)]
    other = await joined(site, token=OTHER)
    newest = await joined(site)
    await until(lambda: clients[0].gone)
    assert clients[0].code == feeds.POLICY
    assert not any(client.gone for client in [*clients[1:], other, newest])


@pytest_twisted.ensureDeferred
async def test_stopping_says_good_bye(site: Running) -> None:
    client = await joined(site)
    listeners = len(site.journal.listeners)
    site.api.stop()
    await until(lambda: client.gone)
    assert client.code == feeds.GOING_AWAY
    assert len(site.journal.listeners) == listeners - 1
    site.journal.listeners.append(lambda sequence, event: None)
    site.api._feed._stop_listening = lambda: None


@pytest.mark.parametrize("garbage", [b"\xff" * 100, b"\x81\x05hello", b"\x8f\x80aaaa", b"GET / HTTP/1.1\r\n\r\n"])
@pytest_twisted.ensureDeferred
async def test_garbage_ends_only_its_own_connection(site: Running, garbage: bytes) -> None:
    bad, good = await joined(site), await joined(site)
    bad.transport.write(garbage * 3)
    await until(lambda: bad.gone)
    site.journal.record(PbxUp(at=1.0, pbx="main"))
    await until(lambda: len(good.messages) == 2)
    assert len(site.api._feed._clients) == 1


@pytest_twisted.ensureDeferred
async def test_a_client_that_talks_without_end_is_cut(site: Running) -> None:
    client = await joined(site)
    client.say("small talk is ignored")
    while not client.gone:
        client.say("x" * 4_000)
        await pause(0)
    assert not site.api._feed._clients


@pytest_twisted.ensureDeferred
async def test_the_last_to_leave_switches_off_the_light(site: Running) -> None:
    client = await joined(site)
    assert site.api._feed._timers
    client.leave()
    await until(lambda: not site.api._feed._clients)
    assert not site.api._feed._timers
    done: Deferred[None] = Deferred()
    reactor.callLater(0, done.callback, None)
    await done


# Desktops


@pytest.mark.fault("F63")
@pytest_twisted.ensureDeferred
async def test_the_newest_desktop_wins_and_the_older_is_told(site: Running) -> None:
    older = await joined(site, token=ANA)
    wall = await joined(site, "?agent=ana", token=OTHER)
    newest = await joined(site, token=ANA)
    await until(lambda: older.gone)
    assert (older.messages[-1]["kind"], older.messages[-1]["agent"], older.code) == ("desktop.replaced", "ana", 4001)
    await pause()
    assert site.desktops.there == ["ana"]
    assert (newest.gone, wall.gone) == (False, False)
    newest.leave()
    await until(lambda: site.desktops.there == [])
    assert not wall.gone
