"""A small client of the daemon's own API: its verbs, and the live feed as something to wait on.

Used by the ``easycall`` command, the demo and the scenario tests; a CRM in any language does the same over HTTP.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any

import treq
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import HTTPConnectionPool
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Ping, RejectConnection, Request, TextMessage

from easycall.defer import limited

__all__ = ["Client", "Live", "NotHeard", "Refused"]

SECONDS = 10.0
"""How long one request may take."""

KEPT = 10_000
"""Messages of the feed kept for those who ask later."""


class Refused(Exception):
    """The API said no."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(f"{status}: {problem.get('detail', problem)}")
        self.status = status
        self.problem = problem


class NotHeard(AssertionError):
    """What was waited for did not come over the live feed in time; the text says what did."""


class Client:
    """The API of one daemon on this machine."""

    def __init__(self, port: int, token: str, reactor: Any) -> None:
        self._port = port
        self._headers: dict[bytes | str, bytes | str] = {"Authorization": f"Bearer {token}"}
        self._token = token
        self._reactor = reactor

    async def get(self, path: str) -> Any:
        """The answer to a GET.  Raises Refused, TimeoutError."""
        return await self._ask("GET", path)

    async def post(self, path: str, **body: Any) -> Any:
        """The answer to a POST.  Raises Refused, TimeoutError."""
        return await self._ask("POST", path, body)

    async def put(self, path: str, **body: Any) -> Any:
        """The answer to a PUT.  Raises Refused, TimeoutError."""
        return await self._ask("PUT", path, body)

    async def patch(self, path: str, **body: Any) -> Any:
        """The answer to a PATCH.  Raises Refused, TimeoutError."""
        return await self._ask("PATCH", path, body)

    async def delete(self, path: str) -> Any:
        """The answer to a DELETE.  Raises Refused, TimeoutError."""
        return await self._ask("DELETE", path, {})

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        response = await treq.request(
            method,
            f"http://127.0.0.1:{self._port}{path}",
            headers=self._headers,
            json=body,
            timeout=SECONDS,
            reactor=self._reactor,
            pool=HTTPConnectionPool(self._reactor, persistent=False),
        )
        content = await response.content()
        answer = json.loads(content) if b"json" in (response.headers.getRawHeaders(b"content-type") or [b""])[0] else content
        if response.code >= 400:
            raise Refused(response.code, answer if isinstance(answer, dict) else {"detail": content.decode()})
        return answer

    async def live(self, agent: str = "") -> Live:
        """The live feed, of everybody or of one agent; its snapshot has come.  Raises Refused."""
        target = "/api/v1/live" + (f"?agent={agent}" if agent else "")
        live = Live(target, self._token, self._reactor)
        endpoint = TCP4ClientEndpoint(self._reactor, "127.0.0.1", self._port, timeout=SECONDS)
        await connectProtocol(endpoint, live)
        await limited(live.open, SECONDS, self._reactor)
        return live


class Live(Protocol):
    """The live feed: keeps what comes, and tells when something wanted is there."""

    def __init__(self, target: str, token: str, clock: Any) -> None:
        self._target = target
        self._headers = [(b"Authorization", f"Bearer {token}".encode())]
        self._clock = clock
        self._wire = WSConnection(ConnectionType.CLIENT)
        self._text = ""
        self._waiting: list[tuple[Callable[[dict[str, Any]], bool], Deferred[dict[str, Any]]]] = []
        self.heard: deque[dict[str, Any]] = deque(maxlen=KEPT)
        """Every message so far, the oldest first."""
        self.open: Deferred[None] = Deferred()
        """Fires when the snapshot has come."""
        self.closed: Deferred[None] = Deferred()
        """Fires when the connection is gone."""

    async def wait(self, kind: str, seconds: float, *, since: int = 0, **expected: Any) -> dict[str, Any]:
        """The first message of that kind with those values, among those heard already or to come.  Raises NotHeard.

        ``since``: only messages with this ``seq`` or a later one.
        """

        def wanted(message: dict[str, Any]) -> bool:
            matches = all(message.get(key) == value for key, value in expected.items())
            return message["kind"] == kind and message.get("seq", 0) >= since and matches

        for message in self.heard:
            if wanted(message):
                return message
        waiter: Deferred[dict[str, Any]] = Deferred()
        entry = (wanted, waiter)
        self._waiting.append(entry)
        try:
            return await limited(waiter, seconds, self._clock)
        except TimeoutError:
            kinds = ", ".join(f"{message['kind']}" for message in list(self.heard)[-15:])
            raise NotHeard(f"no {kind} {expected} within {seconds:g} s; heard: {kinds}") from None
        finally:
            if entry in self._waiting:
                self._waiting.remove(entry)

    async def close(self) -> None:
        """Hear no more."""
        if self.transport is not None:
            self.transport.loseConnection()
        await self.closed

    # Protocol

    def connectionMade(self) -> None:
        """Ask for the feed."""
        self._write(self._wire.send(Request(host="127.0.0.1", target=self._target, extra_headers=self._headers)))

    def dataReceived(self, data: bytes) -> None:
        """Take the frames apart."""
        self._wire.receive_data(data)
        for event in self._wire.events():
            match event:
                case AcceptConnection():
                    pass
                case RejectConnection():
                    self.open.errback(Refused(event.status_code, {"detail": "the live feed was refused"}))
                    self._write(b"", close=True)
                case Ping():
                    self._write(self._wire.send(event.response()))
                case TextMessage():
                    self._text += event.data
                    if event.message_finished:
                        text, self._text = self._text, ""
                        self._hear(json.loads(text))
                case CloseConnection():
                    self._write(self._wire.send(event.response()), close=True)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The feed is over."""
        if not self.open.called:
            self.open.errback(ConnectionError("the live feed closed before its snapshot"))
        self.closed.callback(None)

    def _hear(self, message: dict[str, Any]) -> None:
        self.heard.append(message)
        if not self.open.called:
            self.open.callback(None)
        for entry in [entry for entry in self._waiting if entry[0](message)]:
            self._waiting.remove(entry)
            entry[1].callback(message)

    def _write(self, data: bytes, *, close: bool = False) -> None:
        if self.transport is not None:
            self.transport.write(data)
            if close:
                self.transport.loseConnection()
