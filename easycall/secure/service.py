"""Asking a service of the configuration over HTTPS, once: within its time, with a bounded answer, without redirects.

What is sent and what comes back is never logged.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IConsumer, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates
from twisted.python.failure import Failure
from twisted.web.client import Agent, BrowserLikePolicyForHTTPS, HTTPConnectionPool, ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer, IPolicyForHTTPS
from zope.interface import implementer

from easycall.defer import limited
from easycall.ports import ServiceFailed

__all__ = ["ANSWER_LIMIT", "WebService"]

ANSWER_LIMIT = 64 * 1024
"""Bytes of an answer."""


class WebService:
    """See :class:`easycall.ports.Service`."""

    def __init__(
        self, reactor: Any, clock: IReactorTime, url: str, *, ca: bytes = b"", token: str = "", seconds: float = 10.0
    ) -> None:
        """``ca``: the PEM certificates of the only CAs trusted (empty: those of the system); ``token``: sent as bearer
        token; ``seconds``: from asking to the end of the answer."""
        self._url = url.encode()
        self._clock = clock
        self._seconds = seconds
        self._reactor = reactor
        self._ca = ca
        self._headers = {"Content-Type": ["application/json"], "Accept": ["application/json"], "User-Agent": ["easycall"]}
        if token:
            self._headers["Authorization"] = [f"Bearer {token}"]

    async def post(self, values: Mapping[str, str]) -> Mapping[str, Any]:
        """Send ``values`` as a JSON object and give the one that is answered.  Raises ServiceFailed."""
        body = json.dumps(values).encode()
        try:
            return await limited(Deferred.fromCoroutine(self._post(body)), self._seconds, self._clock)
        except TimeoutError:
            raise ServiceFailed(f"no answer within {self._seconds:g} s") from None

    async def _post(self, body: bytes) -> Mapping[str, Any]:
        try:
            response: Any = await self._agent().request(b"POST", self._url, Headers(self._headers), _Body(body))
            if not 200 <= response.code < 300:
                raise ServiceFailed(f"it answers {response.code}")
            if response.headers.hasHeader(b"content-encoding"):
                raise ServiceFailed("its answer is encoded")
            answer = json.loads(await _bounded(response))
        except (CancelledError, ServiceFailed):
            raise
        except (ValueError, RecursionError):
            raise ServiceFailed("its answer is not JSON") from None
        except Exception as failure:  # of the connection, of TLS, of HTTP: each library has its own
            raise ServiceFailed(f"it cannot be asked ({_cause(failure)})") from None
        if not isinstance(answer, dict):
            raise ServiceFailed("its answer is no object")
        return answer

    def _agent(self) -> Agent:
        """One for each question: a kept connection may be dead, and asking again acts twice."""
        pool = HTTPConnectionPool(self._reactor, persistent=False)
        pool.retryAutomatically = False
        policy = _Trusting(self._ca) if self._ca else BrowserLikePolicyForHTTPS()
        return Agent(self._reactor, policy, connectTimeout=self._seconds, pool=pool)


def _cause(failure: Exception) -> str:
    """What kind of failure; its text might quote what was sent or answered."""
    reasons = getattr(failure, "reasons", None)
    return type(reasons[0].value if reasons else failure).__name__


@implementer(IPolicyForHTTPS)
class _Trusting:
    """Trusts these CAs only."""

    def __init__(self, pem: bytes) -> None:
        parts = pem.split(b"-----BEGIN CERTIFICATE-----")[1:]
        self._root = trustRootFromCertificates(
            [Certificate.loadPEM(b"-----BEGIN CERTIFICATE-----" + part) for part in parts]
        )

    def creatorForNetloc(self, hostname: bytes, port: int) -> Any:
        """How to make a connection to that host."""
        return optionsForClientTLS(hostname.decode("ascii"), self._root)


@implementer(IBodyProducer)
class _Body:
    """A body that is there as a whole."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.length = len(body)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        """Give it."""
        consumer.write(self._body)
        self._body = b""
        done: Deferred[None] = Deferred()
        done.callback(None)
        return done

    def pauseProducing(self) -> None:
        """It is given already."""

    def resumeProducing(self) -> None:
        """It is given already."""

    def stopProducing(self) -> None:
        """It is given already."""


def _bounded(response: Any) -> Deferred[bytes]:
    """The body of a response.  Fails with ServiceFailed when it is too long."""
    reader = _Reader()
    response.deliverBody(reader)
    return reader.over


class _Reader(Protocol):
    """Gathers a body up to its limit."""

    def __init__(self) -> None:
        self.over: Deferred[bytes] = Deferred(lambda _: self._stop())
        self._parts: list[bytes] = []
        self._size = 0

    def dataReceived(self, data: bytes) -> None:
        """A part of it."""
        self._size += len(data)
        if self._size <= ANSWER_LIMIT:
            self._parts.append(data)
        elif not self.over.called:
            self.over.errback(ServiceFailed(f"its answer is longer than {ANSWER_LIMIT} bytes"))
            self._stop()

    def _stop(self) -> None:
        with suppress(AttributeError):  # the transport of a body that is over
            self.transport.abortConnection()  # type: ignore[union-attr]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Its end."""
        if self.over.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):  # the second: of unknown length; half an object is no JSON
            self.over.callback(b"".join(self._parts))
        else:
            self.over.errback(ServiceFailed("its answer breaks off"))
