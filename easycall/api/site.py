"""Twisted's web server with bounds: on the time of a request, on its body, and on connections.

twisted.web alone starts its idle timer anew at every byte and takes a chunked body of any size (both measured), so a client
that drips or floods would hold what it likes.
"""
# mypy: allow-untyped-calls
# (what is inherited from twisted.web has no annotations)

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from twisted.internet.interfaces import IAddress
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.web.http import HTTPChannel
from twisted.web.http import Request as HTTPRequest
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

from easycall.api.problems import CONTENT_TYPE, Problem
from easycall.config import Token

__all__ = ["LARGE_BODY", "MAX_BODY", "BoundedRequest", "Connection", "bounded_site"]

HEAD_SECONDS = 10.0
"""From the first byte of a request to the end of its headers."""

BODY_SECONDS = 30.0
"""From the end of the headers to the end of the body; also how long an idle connection is kept."""

MAX_BODY = 1 << 20
"""Bytes of a body."""

LARGE_BODY = 20 << 20
LARGE_BODY_SECONDS = 180.0
"""The same where large bodies are taken, and how long they may take.  From 100 kB on Twisted keeps a body on disk."""

DRAIN = 8 << 20
"""Bytes of a refused body that are read and thrown away, so that its sender comes to read the answer."""

TakesLarge = Callable[[bytes, str | None], bool]
"""Told the path and the Authorization header of a request."""

PER_ADDRESS = 50
TOTAL = 1_000
"""Connections at once, from one address and in all."""


def _last_answer(status: HTTPStatus, detail: str) -> bytes:
    """An answer as bytes, for what is refused before it is a whole request; the connection is closed after it."""
    body = Problem(status, detail).body()
    head = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Connection: close\r\n\r\n" + body


class BoundedRequest(Request):
    """A request whose body never grows beyond :data:`MAX_BODY`, or :data:`LARGE_BODY` where that is taken."""

    channel: Any
    token = Token("nobody", "", frozenset())
    """The token it came with."""

    _limit = MAX_BODY
    _received = 0
    _refused = False

    def gotLength(self, length: int | None) -> None:
        """The headers are complete: a body announced as too long is refused before it comes."""
        super().gotLength(length)
        path = bytes(self.channel._path or b"").partition(b"?")[0]
        if self.channel.site.takes_large(path, self.getHeader("Authorization")):
            self._limit = LARGE_BODY
            self.channel.setTimeout(LARGE_BODY_SECONDS)
        if length is not None and length > self._limit:
            self._refuse()

    def handleContentChunk(self, data: bytes) -> None:
        """A piece of the body came."""
        self._received += len(data)
        if self._received > self._limit:
            self._refuse()
        if self._received > self._limit + DRAIN:
            self.channel.transport.abortConnection()
        elif not self._refused:
            super().handleContentChunk(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """The request is complete."""
        if self._refused:
            self.channel.loseConnection()
        else:
            super().requestReceived(command, path, version)

    def _refuse(self) -> None:
        """Answer 413 while the body still comes, and read on for a while: a closed socket would hide the answer."""
        if self._refused:
            return
        self._refused = True
        self.channel.transport.write(
            _last_answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body may have {self._limit} bytes")
        )


class BoundedChannel(HTTPChannel):
    """An HTTP connection whose timer runs for a request as a whole."""

    transport: Any
    _begun = False

    def resetTimeout(self) -> None:
        """Called for every piece of data: only the first of a request starts the timer."""
        if not self._begun:
            self._begun = True
            self.setTimeout(HEAD_SECONDS)

    def allHeadersReceived(self) -> None:
        """The body has a time of its own."""
        self.setTimeout(BODY_SECONDS)
        super().allHeadersReceived()

    def lineLengthExceeded(self, line: bytes) -> None:
        """An address or a header is longer than a line may be."""
        self.transport.write(_last_answer(HTTPStatus.REQUEST_URI_TOO_LONG, f"a line may have {self.MAX_LENGTH} bytes"))
        self.loseConnection()

    def requestDone(self, request: Request) -> None:
        """The answer was sent; the next request has a time of its own."""
        self._begun = False
        super().requestDone(request)


class BoundedSite(Site):
    """A site of bounded requests.  It writes no access log; the API logs what changes something."""

    protocol = BoundedChannel  # type: ignore[assignment] # declared as Twisted's own HTTP/1-or-2 channel
    requestFactory = BoundedRequest
    displayTracebacks = False
    takes_large: TakesLarge

    def log(self, request: HTTPRequest) -> None:
        """Say nothing."""


class Connection(ProtocolWrapper):
    """One connection, cut when it breaks a rule of its protocol or sends more than it may."""

    allowance: int | None = None
    """Bytes the peer may still send; None: the HTTP channel sees to that."""

    def dataReceived(self, data: bytes) -> None:
        """Pass data on, within the allowance."""
        if self.allowance is not None:
            self.allowance -= len(data)
            if self.allowance < 0:
                self.abortConnection()
                return
        super().dataReceived(data)


class Doorkeeper(WrappingFactory):
    """Lets in at most :data:`TOTAL` connections, :data:`PER_ADDRESS` from one address."""

    protocol = Connection

    def __init__(self, factory: Site) -> None:
        super().__init__(factory)
        self._from: Counter[str] = Counter()

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """A connection, or None (which closes it) when there are too many."""
        if len(self.protocols) >= TOTAL or self._from[getattr(addr, "host", "")] >= PER_ADDRESS:
            return None
        return super().buildProtocol(addr)

    def registerProtocol(self, p: ProtocolWrapper) -> None:
        """A connection began."""
        self._from[_host(p)] += 1
        super().registerProtocol(p)

    def unregisterProtocol(self, p: ProtocolWrapper) -> None:
        """A connection ended."""
        self._from[_host(p)] -= 1
        if not self._from[_host(p)]:
            del self._from[_host(p)]
        super().unregisterProtocol(p)


def _host(connection: ProtocolWrapper) -> str:
    return getattr(connection.getPeer(), "host", "")


def bounded_site(
    root: IResource, reactor: Any, takes_large: TakesLarge = lambda path, authorization: False
) -> WrappingFactory:
    """A factory to listen with, for the resource ``root``; ``takes_large``: where, and from whom, large bodies are taken."""
    site = BoundedSite(root, reactor=reactor, timeout=BODY_SECONDS, parsePOSTFormSubmission=False)
    site.takes_large = takes_large
    return Doorkeeper(site)
