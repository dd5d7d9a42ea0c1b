"""The HTTP API over real sockets: what it answers, and what it refuses."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytest_twisted
from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from easycall.api import site as bounds
from easycall.api.verbs import WISHES
from easycall.events import Answered, ContactArrived
from easycall.hours import Hours, spans_of
from easycall.model import AgentState, EndedBy, Party, Stage
from easycall.policy import WorkItem
from easycall.verbs import (
    Alternate,
    Answer,
    AttachData,
    Cancel,
    Complete,
    Consult,
    Drop,
    Hold,
    Leave,
    Lend,
    Merge,
    Mute,
    NotNow,
    Park,
    Pick,
    RecordPause,
    RecordResume,
    RecordStart,
    RecordStop,
    Retrieve,
    SendDigits,
    ToAgent,
    ToFlow,
    ToQueue,
    ToVoicemail,
    Verb,
)
from tests.fakes_api import ANA, NOTHING, TOKEN, Running, pause, running
from tests.test_record import STORY, C


@pytest_twisted.async_yield_fixture
async def site() -> AsyncIterator[Running]:
    async with running() as site:
        yield site


class Raw(Protocol):
    """A client that says what no client library would."""

    def __init__(self) -> None:
        self.heard = b""
        self.over: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Failure | None = None) -> None:
        self.over.callback(self.heard)


async def raw(site: Running, data: bytes = b"") -> Raw:
    client: Raw = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", site.port), Raw())
    client.transport.write(data)
    return client


def check_problem(answer: tuple[int, Any, Any], status: int, field: str = "") -> str:
    code, body, headers = answer
    assert code == status, body
    assert headers.getRawHeaders("content-type") == ["application/problem+json"]
    assert set(body) == {"type", "title", "status", "detail"} | ({"field"} if field else set())
    assert (body["status"], body.get("field", "")) == (status, field)
    for secret in ("Traceback", "/", "twisted", "Twisted"):
        assert secret not in body["detail"].replace("application/json", "")
    return str(body["detail"])


# Health


@pytest_twisted.ensureDeferred
async def test_health_needs_no_token(site: Running) -> None:
    site.lag.add(0.5)
    site.lag.add(0.25)
    lag = {"last": 0.25, "largest_of_a_minute": 0.5}
    assert (await site.ask("GET", "/healthz", token=None))[:2] == (200, {"alive": True, "reactor_lag_seconds": lag})
    assert (await site.ask("GET", "/readyz", token=None))[:2] == (200, {"ready": True, "reasons": []})
    site.links["main"].up = False
    assert (await site.ask("GET", "/readyz", token=None))[:2] == (
        503,
        {"ready": False, "reasons": ["no link to Asterisk 'main'"]},
    )


# Tokens


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer " + "a" * 9000, f"Bearer {TOKEN} more"],
)
@pytest_twisted.ensureDeferred
async def test_wrong_tokens_get_the_same_401(site: Running, authorization: str) -> None:
    for path in ("/api/v1/agents", "//api/v1/agents", "/api/v1/live", "/api/v1/nothing", "/", "/healthz/", "/%68ealthz/x"):
        answer = await site.ask("GET", path, token=None, headers={"Authorization": authorization})
        detail = check_problem(answer, 401)
        assert detail == "send a valid token in the header: Authorization: Bearer TOKEN"
        assert answer[2].getRawHeaders("www-authenticate") == ['Bearer realm="easycall"']


@pytest_twisted.ensureDeferred
async def test_every_route_below_api_is_closed_without_a_token(site: Running) -> None:
    for rule in site.api.app.url_map.iter_rules():
        for verb in rule.methods - {"HEAD"}:
            path = rule.rule.replace("<", "").replace(">", "")
            code, _, _ = await site.ask(verb, path, token=None)
            assert code == (200 if path in ("/healthz", "/readyz") else 401), path
    assert site.desk.asked == []


@pytest_twisted.ensureDeferred
async def test_a_token_in_the_address_is_refused(site: Running) -> None:
    for name in ("token", "access_token"):
        check_problem(await site.ask("GET", f"/api/v1/agents?{name}={TOKEN}"), 400)


# Rights


@pytest_twisted.ensureDeferred
async def test_every_route_asks_for_a_right(site: Running) -> None:
    site.contacts.add("c1", agent="ana")
    for rule in site.api.app.url_map.iter_rules():
        for verb in rule.methods - {"HEAD"}:
            path = rule.rule.replace("<", "").replace(">", "")
            if path.startswith("/api/"):
                detail = check_problem(await site.ask(verb, path.replace(_any_of(path), "hold"), token=NOTHING), 403)
                assert detail.startswith("the token 'nothing' lacks the right '"), path
    assert (site.desk.asked, site.contacts.asked, site.contacts.hung_up) == ([], [], [])


def _any_of(path: str) -> str:
    """The part of a route that stands for one of several words."""
    found = re.search(r"any\(.*\):name", path)
    return found[0] if found else "none of them"


@pytest_twisted.ensureDeferred
async def test_a_token_of_an_agent_is_confined_to_the_agents_own(site: Running) -> None:
    site.contacts.add("hers", agent="ana")
    site.contacts.add("his", agent="bo")
    site.contacts.add("asked", agent="bo")
    site.contacts.live["asked"].consulted = "ana"
    _, body, _ = await site.ask("GET", "/api/v1/contacts", token=ANA)
    assert [contact["id"] for contact in body["contacts"]] == ["hers", "asked"]
    for verb in ("hold", "hangup"):
        check_problem(await site.ask("POST", f"/api/v1/contacts/his/{verb}", token=ANA), 404)
        assert (await site.ask("POST", f"/api/v1/contacts/hers/{verb}", token=ANA))[0] in (200, 202)
    check_problem(await site.ask("POST", "/api/v1/agents/bo/logout", token=ANA), 403)
    assert (await site.ask("POST", "/api/v1/agents/ana/logout", token=ANA))[0] == 200
    site.contacts.add("parked")
    site.contacts.live["parked"].stage = Stage.PARKED
    _, body, _ = await site.ask("GET", "/api/v1/contacts", token=ANA)
    assert [contact["id"] for contact in body["contacts"]] == ["hers", "asked", "parked"]
    check_problem(await site.ask("POST", "/api/v1/contacts/parked/hangup", token=ANA), 404)
    check_problem(await site.ask("POST", "/api/v1/contacts/parked/pick", token=ANA, json={"agent": "bo"}), 403)
    check_problem(await site.ask("POST", "/api/v1/contacts/his/pick", token=ANA, json={"agent": "ana"}), 404)
    assert (await site.ask("POST", "/api/v1/contacts/parked/pick", token=ANA, json={"agent": "ana"}))[0] == 200
    check_problem(await site.ask("GET", "/api/v1/live?agent=bo", token=ANA), 403)
    at = {"at": 1.0, "contact": "ended"}
    site.journal.record(ContactArrived(**at, pbx="main", leg="l", caller="1", caller_name="", dialled="2"))
    site.journal.record(Answered(**at, agent="bo", queue="cards", waited=0.0))
    check_problem(await site.ask("GET", "/api/v1/contacts/ended", token=ANA), 404)
    site.journal.record(Answered(at=2.0, contact="ended", agent="ana", queue="cards", waited=0.0))
    assert (await site.ask("GET", "/api/v1/contacts/ended", token=ANA))[0] == 200


# Agents


@pytest_twisted.ensureDeferred
async def test_agents_are_shown(site: Running) -> None:
    _, body, _ = await site.ask("GET", "/api/v1/agents")
    assert [agent["id"] for agent in body["agents"]] == ["ana", "bo"]
    code, ana, _ = await site.ask("GET", "/api/v1/agents/ana")
    assert code == 200
    assert ana == body["agents"][0]
    assert ana == {
        "id": "ana",
        "name": "Ana",
        "state": "ready",
        "reason": "",
        "since": 5.0,
        "until": None,
        "next": None,
        "next_reason": "",
        "phone": "ana",
        "hindrance": None,
        "queues": ["cards", "loans"],
        "own_queues": [],
        "skills": {},
        "contact": None,
        "disposition": None,
        "missed": None,
        "takes": dict.fromkeys(["call", "callback", "call_me", "chat", "message", "voicemail", "fax"], 1),
        "work": {},
    }
    assert "'zed'" in check_problem(await site.ask("GET", "/api/v1/agents/zed"), 404)


@pytest_twisted.ensureDeferred
async def test_log_in_state_log_out(site: Running) -> None:
    wish = {"phone": "bo", "queues": ["cards"]}
    assert (await site.ask("POST", "/api/v1/agents/bo/login", json=wish))[1]["state"] == "not_ready"
    assert (await site.ask("PUT", "/api/v1/agents/bo/state", json={"state": "ready"}))[1]["state"] == "ready"
    await site.ask("PUT", "/api/v1/agents/bo/state", json={"state": "not_ready", "reason": "lunch"})
    assert (await site.ask("POST", "/api/v1/agents/bo/logout"))[1]["state"] == "offline"
    await site.ask("POST", "/api/v1/agents/bo/login")
    assert site.desk.asked == [
        ("log_in", "bo", "bo", ["cards"]),
        ("set_state", "bo", AgentState.READY, ""),
        ("set_state", "bo", AgentState.NOT_READY, "lunch"),
        ("log_out", "bo"),
        ("log_in", "bo", "", None),
    ]


@pytest_twisted.ensureDeferred
async def test_what_makes_no_sense_is_told(site: Running) -> None:
    assert check_problem(await site.ask("POST", "/api/v1/agents/bo/logout"), 409) == "an agent who is offline cannot log out"
    wish = {"phone": "bo", "queues": ["nonsense"]}
    assert check_problem(await site.ask("POST", "/api/v1/agents/bo/login", json=wish), 422) == "unknown queue: nonsense"
    for path in ("login", "logout"):
        check_problem(await site.ask("POST", f"/api/v1/agents/zed/{path}"), 404)


# Bodies

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"{", 400, ""),
        (b'{"state": "ready"} x', 400, ""),
        (b'\xef\xbb\xbf{"state": "ready"}', 400, ""),
        ('{"state": "ready"}'.encode("utf-16"), 400, ""),
        (b'{"state": "ready", "state": "ready"}', 400, ""),
        (b'{"state": NaN}', 400, ""),
        (b'{"state": "\\ud800"}', 400, ""),
        (b'{"reason": "\xff", "state": "ready"}', 400, ""),
        (b"[" * 100_000, 422, ""),
        (b'{"state": ' + b"[" * 100_000, 422, "state"),
        (b'{"state": ' + b"1" * 5_000 + b"}", 422, "state"),
        (b"[]", 422, ""),
        (b"", 422, "state"),
        (b'{"state": 1}', 422, "state"),
        (b'{"state": null}', 422, "state"),
        (b'{"state": "talking"}', 422, "state"),
        (b'{"state": "ready", "reason": "a\\u0000b"}', 422, "reason"),
        (b'{"state": "ready", "reason": "a\\n"}', 422, "reason"),
        (b'{"state": "ready", "reason": "' + b"a" * 201 + b'"}', 422, "reason"),
        (b'{"state": "ready", "__proto__": {}}', 422, "__proto__"),
        (b'{"state": "ready", "id": "ana"}', 422, "id"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_wrong_bodies(site: Running, body: bytes, status: int, field: str) -> None:
    answer = await site.ask("PUT", "/api/v1/agents/bo/state", data=body, headers=JSON)
    detail = check_problem(answer, status, field)
    if b"talking" in body:
        assert detail.endswith("allowed: ready, not_ready")
    assert site.desk.asked == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
@pytest_twisted.ensureDeferred
async def test_only_plain_json_is_read(site: Running, headers: dict[str, str]) -> None:
    answer = await site.ask("PUT", "/api/v1/agents/bo/state", data=b'{"state": "ready"}', headers=headers)
    check_problem(answer, 415)
    assert site.desk.asked == []


@pytest_twisted.ensureDeferred
async def test_two_mebibytes_in_chunks_are_refused(site: Running) -> None:
    chunk = b"10000\r\n" + b"a" * 0x10000 + b"\r\n"
    head = (
        f"POST /api/v1/agents/bo/login HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    client = await raw(site, head.encode() + chunk * 32 + b"0\r\n\r\n")
    heard = await client.over
    assert heard.startswith(b"HTTP/1.1 413 ")
    assert heard.count(b"HTTP/1.1") == 1
    assert json.loads(heard.partition(b"\r\n\r\n")[2])["status"] == 413
    assert site.desk.asked == []


@pytest_twisted.ensureDeferred
async def test_an_endless_body_is_cut(site: Running) -> None:
    head = b"POST /api/v1/agents/bo/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    client = await raw(site, head)
    sent = 0
    while not client.over.called:
        client.transport.write(b"10000\r\n" + b"a" * 0x10000 + b"\r\n")
        sent += 0x10000
        await pause(0)
        assert sent < 64 << 20
    assert client.heard.startswith(b"HTTP/1.1 413 ")


@pytest_twisted.ensureDeferred
async def test_a_long_body_is_refused_before_it_comes(site: Running) -> None:
    client = await raw(site, b"POST /api/v1/agents/bo/login HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n")
    while b"\r\n\r\n" not in client.heard:
        await pause()
    assert client.heard.startswith(b"HTTP/1.1 413 ")
    client.transport.loseConnection()
    await client.over


# Time and connections


@pytest_twisted.ensureDeferred
async def test_a_dripping_client_is_cut(site: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "HEAD_SECONDS", 0.3)
    began = reactor.seconds()
    client = await raw(site)
    while not client.over.called:
        client.transport.write(b"G")
        await pause(0.02)
        assert reactor.seconds() - began < 5
    assert client.heard == b""


@pytest_twisted.ensureDeferred
async def test_a_dripping_body_is_cut(site: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "BODY_SECONDS", 0.3)
    client = await raw(site, b"POST /api/v1/agents/bo/login HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
    began = reactor.seconds()
    while not client.over.called:
        client.transport.write(b" ")
        await pause(0.02)
        assert reactor.seconds() - began < 5


@pytest_twisted.ensureDeferred
async def test_one_connection_serves_many_requests(site: Running) -> None:
    client = await raw(site, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
    while client.heard.count(b'{"alive":true') < 2:
        await pause()
    client.transport.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert (await client.over).count(b"HTTP/1.1 200 OK") == 3


@pytest_twisted.ensureDeferred
async def test_connections_of_one_address_are_limited(site: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "PER_ADDRESS", 3)
    clients = [await raw(site) for _ in range(3)]
    assert await (await raw(site)).over == b""
    for client in clients:
        client.transport.loseConnection()
        await client.over
    await pause()
    assert (await site.ask("GET", "/healthz"))[0] == 200


# Addresses and verbs


@pytest.mark.parametrize(
    ("verb", "path", "allow"),
    [
        ("POST", "/api/v1/agents", "GET, HEAD"),
        ("DELETE", "/api/v1/agents/bo", "GET, HEAD"),
        ("OPTIONS", "/api/v1/agents/bo/login", "POST"),
        ("GET", "/api/v1/agents/bo/login", "POST"),
        ("TRACE", "/healthz", "GET, HEAD"),
        ("get", "/api/v1/agents", "GET, HEAD"),
        ("M-SEARCH", "/api/v1/agents", "GET, HEAD"),
        ("POST", "/healthz", "GET, HEAD"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_other_verbs(site: Running, verb: str, path: str, allow: str) -> None:
    head = f"{verb} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n"
    heard = await (await raw(site, head.encode())).over
    assert heard.startswith(b"HTTP/1.1 405 ")
    assert f"\r\nAllow: {allow}\r\n".encode() in heard
    assert b"application/problem+json" in heard
    assert site.desk.asked == []


@pytest_twisted.ensureDeferred
async def test_head_has_the_headers_of_get(site: Running) -> None:
    heard = await (await raw(site, b"HEAD /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).over
    assert heard.startswith(b"HTTP/1.1 200 ")
    length = len(
        json.dumps({"alive": True, "reactor_lag_seconds": {"last": 0.0, "largest_of_a_minute": 0.0}}, separators=(",", ":"))
    )
    assert f"\r\nContent-Length: {length}\r\n".encode() in heard
    assert heard.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 404),
        ("/nothing", 404),
        ("/api/v1/agents/", 404),
        ("//api/v1/agents", 404),
        ("/api//v1/agents", 404),
        ("/api/v1/contacts/..%2f..%2fetc%2fpasswd", 404),
        ("/api/v1/contacts/%2e%2e/x", 404),
        ("/api/v1/contacts/a%00b", 400),
        ("/api/v1/contacts/a%0d%0aX-Bad:%201", 400),
        ("/api/v1/contacts/%ff", 400),
        ("/api/v1/contacts?sort=id;drop", 400),
        ("/api/v1/contacts?state=live&state=live", 400),
        ("/api/v1/contacts?state=%ff", 400),
        ("/api/v1/contacts?state=dead", 422),
        ("/api/v1/contacts?limit=5", 422),
        ("/api/v1/contacts?state=ended&limit=0", 422),
        ("/api/v1/contacts?state=ended&limit=1e3", 422),
        ("/api/v1/contacts?state=ended&limit=201", 422),
        ("/api/v1/contacts?state=ended&limit=%D9%A3", 422),
    ],
)
@pytest_twisted.ensureDeferred
async def test_odd_addresses(site: Running, path: str, status: int) -> None:
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n"
    heard = await (await raw(site, head.encode())).over
    assert heard.startswith(b"HTTP/1.1 %d " % status), heard
    assert b"application/problem+json" in heard
    assert b"X-Bad: 1\r\n" not in heard


@pytest_twisted.ensureDeferred
async def test_an_endless_address_is_refused(site: Running) -> None:
    heard = await (await raw(site, b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n")).over
    assert heard.startswith(b"HTTP/1.1 414 ")


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 2\r\nContent-Length: 3\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
@pytest_twisted.ensureDeferred
async def test_smuggling_is_refused(site: Running, head: bytes) -> None:
    start = b"POST /api/v1/agents/ana/logout HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + TOKEN.encode() + b"\r\n"
    heard = await (await raw(site, start + head + b"\r\n{}GET /healthz HTTP/1.1\r\n\r\n")).over
    assert heard.startswith(b"HTTP/1.1 400 ")
    assert heard.count(b"HTTP/1.1") == 1
    assert site.desk.asked == []


@pytest_twisted.ensureDeferred
async def test_every_answer_has_the_security_headers(site: Running) -> None:
    for path in ("/healthz", "/api/v1/agents", "/nothing", "/api/v1/agents?token=x"):
        _, _, headers = await site.ask("GET", path)
        assert headers.getRawHeaders("x-content-type-options") == ["nosniff"]
        assert headers.getRawHeaders("cache-control") == ["no-store"]
        assert headers.getRawHeaders("content-security-policy") == ["default-src 'none'; frame-ancestors 'none'"]
        assert headers.getRawHeaders("server") == ["easycall"]


# Queues and contacts


@pytest_twisted.ensureDeferred
async def test_queues_show_their_line(site: Running) -> None:
    now = reactor.seconds()
    site.desk.items = [WorkItem("c1", "loans", now - 30, "main"), WorkItem("c2", "loans", now - 10, "main")]
    _, body, _ = await site.ask("GET", "/api/v1/queues")
    cards, loans = body["queues"]
    assert (cards["waiting"], cards["longest_wait"], cards["contacts"]) == (0, 0.0, [])
    assert (cards["agents"]["ready"], loans["agents"]["offline"]) == (1, 1)
    assert (loans["id"], loans["name"], loans["waiting"]) == ("loans", "Loans", 2)
    assert 30 <= loans["longest_wait"] < 35
    assert [(one["id"], one["position"]) for one in loans["contacts"]] == [("c1", 1), ("c2", 2)]


@pytest_twisted.ensureDeferred
async def test_queues_show_their_expected_wait(site: Running) -> None:
    _, body, _ = await site.ask("GET", "/api/v1/queues")
    cards, loans = (queue["expected_wait"] for queue in body["queues"])
    assert cards["seconds"] == 0, "an agent is free"
    assert (loans["known"], loans["method"], loans["compared"]) == (False, "formula", 0)
    site.desk.agents["ana"].state = AgentState.TALKING
    _, body, _ = await site.ask("GET", "/api/v1/queues")
    assert body["queues"][0]["expected_wait"]["seconds"] == 190, "what is believed: 180 s and the wrap-up"
    site.desk.agents["ana"].state = AgentState.OFFLINE
    _, body, _ = await site.ask("GET", "/api/v1/queues")
    assert body["queues"][0]["expected_wait"] == {
        "seconds": None,
        "known": False,
        "method": "formula",
        "bias": None,
        "mean_absolute_error": None,
        "compared": 0,
    }


@pytest_twisted.ensureDeferred
async def test_queues_show_whether_they_are_open_and_their_limits(site: Running) -> None:
    always = Hours("always", ZoneInfo("UTC"), dict.fromkeys(range(7), spans_of(["00:00-24:00"])))
    today = datetime.fromtimestamp(reactor.seconds(), UTC).date()
    never = Hours("never", ZoneInfo("UTC"), {}, holidays=dict.fromkeys((today, today + timedelta(days=1)), "Rest"))
    cards, loans = site.desk.queues["cards"], site.desk.queues["loans"]
    site.desk.queues["cards"] = evolve(cards, hours=always, max_waiting=20, max_wait_seconds=900.0)
    _, body, _ = await site.ask("GET", "/api/v1/queues")
    shown, plain = body["queues"]
    assert shown["opening"] == {"hours": "always", "open": True, "why": "open", "until": None}
    assert shown["limits"] == {"max_waiting": 20, "max_wait_seconds": 900.0}
    assert plain["opening"] == {"hours": None, "open": True, "why": "open", "until": None}
    assert plain["limits"] == {"max_waiting": None, "max_wait_seconds": 14400.0}
    site.desk.queues["loans"] = evolve(loans, hours=never)
    _, body, _ = await site.ask("GET", "/api/v1/queues")
    assert body["queues"][1]["opening"] == {"hours": "never", "open": False, "why": "closed: holiday Rest", "until": None}


@pytest_twisted.ensureDeferred
async def test_live_contacts(site: Running) -> None:
    site.contacts.add("c1", agent="ana")
    for path in ("/api/v1/contacts", "/api/v1/contacts?state=live"):
        _, body, headers = await site.ask("GET", path)
        [contact] = body["contacts"]
        assert (contact["id"], contact["stage"], contact["agent"], contact["queue"]) == ("c1", "talking", "ana", None)
        assert contact["caller_name"] == "Eva <b>"
        assert headers.getRawHeaders("content-type") == ["application/json"]


@pytest_twisted.ensureDeferred
async def test_ended_contacts_in_pages(site: Running) -> None:
    _, first, _ = await site.ask("GET", "/api/v1/contacts?state=ended&limit=2")
    assert ([record["id"] for record in first["contacts"]], first["next"]) == (["c5", "c4"], "c4")
    _, rest, _ = await site.ask("GET", "/api/v1/contacts?state=ended&before=c4")
    assert ([record["id"] for record in rest["contacts"]], rest["next"]) == (["c3", "c2", "c1"], None)


@pytest_twisted.ensureDeferred
async def test_one_contact_with_its_journey(site: Running) -> None:
    for event in STORY:
        site.journal.record(event)
    code, body, _ = await site.ask("GET", f"/api/v1/contacts/{C}")
    assert code == 200
    assert (body["outcome"], body["ended_by"], body["agent"], body["live"]) == ("answered", "agent", "bo", False)
    assert [part["kind"] for part in body["segments"]] == ["ivr", "waiting", "offer", "waiting", "offer", "talk", "closing"]
    assert sum(part["seconds"] for part in body["segments"]) == body["ended"] - body["arrived"]
    assert [step["seq"] for step in body["journey"]] == list(range(1, 13))
    check_problem(await site.ask("GET", "/api/v1/contacts/unknown"), 404)


@pytest_twisted.ensureDeferred
async def test_hang_up_asks(site: Running) -> None:
    site.contacts.add("c1")
    assert (await site.ask("POST", "/api/v1/contacts/c1/hangup"))[:2] == (202, {"id": "c1"})
    assert site.contacts.hung_up == [("c1", EndedBy.API)]
    check_problem(await site.ask("POST", "/api/v1/contacts/c2/hangup"), 404)
    check_problem(await site.ask("POST", "/api/v1/contacts/c1/hangup", json={"why": 1}), 422, "why")
    assert len(site.contacts.hung_up) == 1


# Faults of ours


@pytest_twisted.ensureDeferred
async def test_a_database_away_is_503(site: Running) -> None:
    site.journal.away = True
    for path in ("/api/v1/contacts/c1", "/api/v1/contacts?state=ended"):
        answer = await site.ask("GET", path)
        check_problem(answer, 503)
        assert answer[2].getRawHeaders("retry-after") == ["5"]


@pytest.mark.logs_failures
@pytest_twisted.ensureDeferred
async def test_a_fault_tells_the_client_nothing(site: Running) -> None:
    site.desk.items = [None]  # type: ignore[list-item]
    assert check_problem(await site.ask("GET", "/api/v1/queues"), 500) == "an error of easycall; its log says more"


@pytest_twisted.ensureDeferred
async def test_a_client_that_goes_away_cancels_its_question(site: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    cancelled: list[Deferred[None]] = []
    asked: Deferred[None] = Deferred(cancelled.append)

    async def slow(contact: str) -> None:
        await asked

    monkeypatch.setattr(site.journal, "record_of", slow)
    head = f"GET /api/v1/contacts/c1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    client = await raw(site, head.encode())
    await pause(0.05)
    client.transport.loseConnection()
    await client.over
    await pause(0.05)
    assert cancelled == [asked]


# Verbs of call control


@pytest.mark.parametrize(
    ("name", "body", "verb"),
    [
        ("hold", {}, Hold()),
        ("retrieve", {}, Retrieve()),
        ("alternate", {}, Alternate()),
        ("complete", {}, Complete()),
        ("cancel", {}, Cancel()),
        ("consult", {"agent": "bo"}, Consult("bo")),
        ("transfer", {"agent": "bo"}, ToAgent("bo")),
        ("transfer", {"queue": "loans"}, ToQueue("loans")),
        ("transfer", {"queue": "loans", "wait": False}, ToQueue("loans", wait=False)),
        ("transfer", {"flow": "welcome"}, ToFlow("welcome")),
        ("transfer", {"voicemail": "sales"}, ToVoicemail("sales")),
        ("merge", {}, Merge()),
        ("mute", {"party": "customer"}, Mute(Party.CUSTOMER)),
        ("unmute", {"party": "consulted"}, Mute(Party.CONSULTED, muted=False)),
        ("drop", {"party": "agent"}, Drop(Party.AGENT)),
        ("mute", {"party": "consulted", "who": "bo"}, Mute(Party.CONSULTED, who="bo")),
        ("unmute", {"party": "consulted", "who": "bo"}, Mute(Party.CONSULTED, muted=False, who="bo")),
        ("drop", {"party": "consulted", "who": "+4930123"}, Drop(Party.CONSULTED, "+4930123")),
        ("leave", {}, Leave()),
        ("answer", {}, Answer()),
        ("digits", {"digits": "09*#ADw"}, SendDigits("09*#ADw")),
        ("park", {}, Park()),
        ("pick", {"agent": "bo"}, Pick("bo")),
        ("lend", {"flow": "pin"}, Lend("pin")),
        ("lend", {"flow": "card", "parameters": {"amount": "19.90"}}, Lend("card", {"amount": "19.90"})),
        ("data", {"data": {"order": "4711"}}, AttachData({"order": "4711"})),
        ("record", {"action": "start"}, RecordStart()),
        ("record", {"action": "pause"}, RecordPause()),
        ("record", {"action": "resume"}, RecordResume()),
        ("record", {"action": "stop"}, RecordStop()),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_verb_reaches_the_contact(site: Running, name: str, body: dict[str, Any], verb: Verb) -> None:
    site.contacts.add("c1", agent="ana")
    code, answer, _ = await site.ask("POST", f"/api/v1/contacts/c1/{name}", json=body)
    assert (code, answer["id"], answer["agent"]) == (200, "c1", "ana")
    assert site.contacts.asked == [("c1", verb)]


@pytest.mark.parametrize(
    ("name", "body", "field"),
    [
        ("hold", {"agent": "bo"}, "agent"),
        ("consult", {}, "agent"),
        ("consult", {"agent": ""}, "agent"),
        ("consult", {"agent": "a\nb"}, "agent"),
        ("transfer", {}, "agent"),
        ("drop", {"party": "customer"}, "party"),
        ("mute", {"party": "bo"}, "party"),
        ("digits", {"digits": ""}, "digits"),
        ("digits", {"digits": "1;2"}, "digits"),
        ("digits", {"digits": "1" * 33}, "digits"),
        ("pick", {}, "agent"),
        ("transfer", {"agent": "bo", "queue": "loans"}, "agent"),
        ("transfer", {"queue": "loans", "wait": "no"}, "wait"),
        ("record", {}, "action"),
        ("record", {"action": "rewind"}, "action"),
        ("data", {"data": {"a": 1}}, "data"),
        ("data", {"data": {"a": "x" * 300}}, "data"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_verb_with_a_wrong_body(site: Running, name: str, body: dict[str, Any], field: str) -> None:
    site.contacts.add("c1", agent="ana")
    answer = await site.ask("POST", f"/api/v1/contacts/c1/{name}", json=body)
    assert answer[0] == 422
    assert field in answer[1].get("field", "")
    assert not site.contacts.asked


@pytest_twisted.ensureDeferred
async def test_a_verb_that_is_refused(site: Running) -> None:
    site.contacts.add("c1", agent="ana")
    site.contacts.answer = NotNow("bo is talking")
    assert check_problem(await site.ask("POST", "/api/v1/contacts/c1/consult", json={"agent": "bo"}), 409) == "bo is talking"
    check_problem(await site.ask("POST", "/api/v1/contacts/c2/hold"), 404)


@pytest_twisted.ensureDeferred
async def test_a_verb_that_takes_too_long(site: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("easycall.api.contacts.VERB_SECONDS", 0.05)
    site.contacts.add("c1", agent="ana")
    site.contacts.answer = None
    assert "live feed" in check_problem(await site.ask("POST", "/api/v1/contacts/c1/hold"), 504)


def test_every_verb_has_its_csta_name_in_the_docs() -> None:
    docs = (Path(__file__).parent.parent / "docs" / "api.rst").read_text(encoding="utf-8")
    table = docs.partition("CSTA names\n")[2].partition("The live feed\n")[0]
    named = set(re.findall(r"^``([a-z]+)``", table, re.MULTILINE))
    assert named == {*WISHES, "hangup"}
