"""Asking a service outside: once, over TLS, within bounds.  Against a real server on loopback."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.task import deferLater
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from easycall.lab.certificates import Authority
from easycall.ports import ServiceFailed
from easycall.secure.secret import Secret
from easycall.secure.service import ANSWER_LIMIT, WebService

from .web import Certified

PLANTED = "4111111111111111"
Answer = Callable[[Any], bytes | int]


class Server(Resource):
    """Answers as told, and keeps what came."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.answer: Answer = lambda request: b'{"outcome": "approved"}'
        self.came: list[tuple[str, dict[str, Any], Any]] = []

    def render(self, request: Any) -> bytes | int:
        body = request.content.read()
        self.came.append((request.method.decode(), json.loads(body or b"{}"), request.getHeader("authorization")))
        return self.answer(request)


class Stage:
    """A server over TLS and one without, and who asks them."""

    def __init__(self, folder: Path) -> None:
        self.server = Server()
        self.folder = folder
        authority = Authority("tests")
        authority.write(folder / "ca.pem")
        authority.vouch(folder / "localhost.pem", "localhost")
        authority.vouch(folder / "other.pem", "other.example.com")
        self.ports: list[Any] = []
        self.tls = self._listen("localhost.pem")
        self.other = self._listen("other.pem")
        self.plain = reactor.listenTCP(0, Site(self.server), interface="127.0.0.1")  # type: ignore[attr-defined]
        self.ports.append(self.plain)

    def _listen(self, file: str) -> int:
        context = Certified(self.folder / file)
        port = reactor.listenSSL(0, Site(self.server), context, interface="127.0.0.1")  # type: ignore[attr-defined]
        self.ports.append(port)
        return int(port.getHost().port)

    async def ask(self, url: str = "", **how: Any) -> Any:
        how = {"ca": (self.folder / "ca.pem").read_bytes(), "seconds": 3.0, **how}
        service = WebService(reactor, reactor, url or f"https://localhost:{self.tls}/pay", **how)  # type: ignore[arg-type]
        return await service.post({"card": Secret(PLANTED)})


@pytest_twisted.async_yield_fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    for port in stage.ports:
        await maybeDeferred(port.stopListening)
    await deferLater(reactor, 0.05)  # type: ignore[arg-type]  # for the ends of the connections


@pytest_twisted.ensureDeferred
async def test_it_is_asked_once_over_tls(stage: Stage) -> None:
    assert await stage.ask(token="t0k") == {"outcome": "approved"}
    assert stage.server.came == [("POST", {"card": PLANTED}, "Bearer t0k")]
    assert await stage.ask(f"http://127.0.0.1:{stage.plain.getHost().port}/") == {"outcome": "approved"}


def answers(body: bytes, code: int = 200, **headers: str) -> Answer:
    def answer(request: Any) -> bytes:
        request.setResponseCode(code)
        for name, value in headers.items():
            request.setHeader(name.replace("_", "-"), value)
        return body

    return answer


def never(request: Any) -> int:
    return NOT_DONE_YET


def breaks_off(request: Any) -> int:
    request.setHeader("content-length", "100")
    request.write(b'{"outcome"')
    request.transport.abortConnection()
    return NOT_DONE_YET


@pytest.mark.fault("A34", "A64")
@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (answers(b"{}", 500), "it answers 500"),
        (answers(b"", 302, location="http://127.0.0.1:1/elsewhere"), "it answers 302"),
        (answers(b"no json"), "not JSON"),
        (answers(b"[" * 60_000), "not JSON"),
        (answers(b'"text"'), "no object"),
        (answers(b"x" * (ANSWER_LIMIT + 1)), "longer than 65536 bytes"),
        (answers(b"{}", content_encoding="gzip"), "encoded"),
        (never, "no answer within 0.5 s"),
        (breaks_off, "breaks off|cannot be asked"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_an_answer_that_is_none(stage: Stage, answer: Answer, why: str) -> None:
    stage.server.answer = answer
    with pytest.raises(ServiceFailed, match=why) as caught:
        await stage.ask(seconds=0.5 if answer is never else 3.0)
    assert PLANTED not in str(caught.value)
    assert len(stage.server.came) == 1, "it is not asked again"


@pytest.mark.fault("A64")
@pytest_twisted.ensureDeferred
async def test_nobody_else_gets_it(stage: Stage) -> None:
    """A certificate for another host, one of a CA not trusted, and nobody there: nothing is sent."""
    with pytest.raises(ServiceFailed):
        await stage.ask(f"https://localhost:{stage.other}/")
    Authority("others").write(stage.folder / "others.pem")
    with pytest.raises(ServiceFailed):
        await stage.ask(ca=(stage.folder / "others.pem").read_bytes())
    with pytest.raises(ServiceFailed):
        await stage.ask(ca=b"")
    with pytest.raises(ServiceFailed, match="ConnectionRefused"):
        await stage.ask("http://127.0.0.1:1/")
    assert stage.server.came == []


@pytest_twisted.ensureDeferred
async def test_who_stops_waiting_waits_no_more(stage: Stage) -> None:
    stage.server.answer = never
    asking = Deferred.fromCoroutine(stage.ask())
    while not stage.server.came:
        await deferLater(reactor, 0.02)  # type: ignore[arg-type]
    failures: list[Any] = []
    asking.addErrback(failures.append)
    asking.cancel()
    await deferLater(reactor, 0.05)  # type: ignore[arg-type]
    assert [failure.type for failure in failures] == [CancelledError]
