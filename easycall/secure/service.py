"""Asking a service of the configuration over HTTPS, once: within its time, with a bounded answer, without redirects.

What is sent and what comes back is never logged.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from OpenSSL import SSL
from service_identity.hazmat import DNS_ID, IPAddress_ID, verify_service_identity
from service_identity.pyopenssl import extract_patterns
from twisted.internet.abstract import isIPAddress
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IConsumer, IOpenSSLClientConnectionCreator, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool, ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer, IPolicyForHTTPS
from zope.interface import implementer

from easycall.defer import limited
from easycall.ports import ServiceFailed
from easycall.secure.secret import Secret

__all__ = ["ANSWER_LIMIT", "WebService"]

BEGIN = b"-----BEGIN CERTIFICATE-----"
ANSWER_LIMIT = 64 * 1024
"""Bytes of an answer."""
KEPT_SECONDS = 30
"""How long a connection is kept that nobody uses."""


class WebService:
    """See :class:`easycall.ports.Service`."""

    def __init__(
        self,
        reactor: Any,
        clock: IReactorTime,
        url: str,
        *,
        ca: bytes = b"",
        token: str = "",
        seconds: float = 10.0,
        kept: int = 0,
    ) -> None:
        """``ca``: the PEM certificates of the only CAs trusted (empty: those of the system); ``token``: sent as bearer
        token; ``seconds``: from asking to the end of the answer; ``kept``: so many connections are kept for the next
        questions, only for questions that do nothing (:meth:`ask`)."""
        self._url = url.encode()
        self._clock = clock
        self._seconds = seconds
        self._reactor = reactor
        self._trusting = _Trusting(ca)
        self._kept = HTTPConnectionPool(reactor) if kept else None
        if self._kept is not None:
            self._kept.maxPersistentPerHost = kept
            self._kept.cachedConnectionTimeout = KEPT_SECONDS
            self._kept.retryAutomatically = False
        self._headers = {"Content-Type": ["application/json"], "Accept": ["application/json"], "User-Agent": ["easycall"]}
        if token:
            self._headers["Authorization"] = [f"Bearer {token}"]

    async def post(self, values: Mapping[str, Secret]) -> Mapping[str, Any]:
        """Send ``values`` as a JSON object and give the one that is answered.  Raises ServiceFailed."""
        return await self._within_time(_Body({name: value.reveal() for name, value in values.items()}))

    async def ask(self, question: Mapping[str, Any]) -> Mapping[str, Any]:
        """The same of what is no secret."""
        return await self._within_time(_Body(question))

    async def _within_time(self, body: _Body) -> Mapping[str, Any]:
        try:
            return await limited(Deferred.fromCoroutine(self._post(body)), self._seconds, self._clock)
        except TimeoutError:
            raise ServiceFailed(f"no answer within {self._seconds:g} s") from None

    async def _post(self, body: _Body) -> Mapping[str, Any]:
        try:
            response: Any = await self._agent().request(b"POST", self._url, Headers(self._headers), body)
            if wrong := _wrong_with(response):
                if self._kept is not None:  # it is read to its end, so that the connection is free again
                    with suppress(ServiceFailed):
                        await _bounded(response)
                raise ServiceFailed(wrong)
            answer = json.loads(await _bounded(response))
        except (CancelledError, ServiceFailed):
            raise
        except (ValueError, RecursionError):
            raise ServiceFailed("its answer is not JSON") from None
        except Exception as failure:  # of the connection, of TLS, of HTTP: each library has its own
            if any(reason.check(CancelledError) for reason in getattr(failure, "reasons", ())):
                raise CancelledError from None  # as Agent tells of it
            raise ServiceFailed(f"it cannot be asked ({_cause(failure)})") from None
        if not isinstance(answer, dict):
            raise ServiceFailed("its answer is no object")
        return answer

    async def close(self) -> None:
        """Close what is kept."""
        if self._kept is not None:
            await self._kept.closeCachedConnections()

    def _agent(self) -> Agent:
        """One for each question, unless connections are kept: such a one may be dead, and asking again acts twice."""
        pool = self._kept
        if pool is None:
            pool = HTTPConnectionPool(self._reactor, persistent=False)
            pool.retryAutomatically = False
        return Agent(self._reactor, self._trusting, connectTimeout=self._seconds, pool=pool)


def _wrong_with(response: Any) -> str:
    """Why an answer is not read; empty: it is."""
    if not 200 <= response.code < 300:
        return f"it answers {response.code}"
    return "its answer is encoded" if response.headers.hasHeader(b"content-encoding") else ""


def _cause(failure: Exception) -> str:
    """What kind of failure; its text might quote what was sent or answered."""
    reasons = getattr(failure, "reasons", None)
    return type(reasons[0].value if reasons else failure).__name__


@implementer(IPolicyForHTTPS)
class _Trusting:
    """Trusts these CAs only, or those of the system; and nobody whose certificate does not say whom it is for."""

    def __init__(self, pem: bytes) -> None:
        parts = pem.split(BEGIN)[1:]
        self._root = trustRootFromCertificates([Certificate.loadPEM(BEGIN + part) for part in parts]) if parts else None

    def creatorForNetloc(self, hostname: bytes, port: int) -> _Creator:
        """How to make a connection to that host."""
        host = hostname.decode("ascii").strip("[]")
        return _Creator(host, optionsForClientTLS(host, self._root))


@implementer(IOpenSSLClientConnectionCreator)
class _Creator:
    """Looks itself whom the certificate is for: one that names nobody, or cannot be read, Twisted 26.10 lets pass."""

    def __init__(self, hostname: str, options: Any) -> None:
        self._wanted = IPAddress_ID(hostname) if isIPAddress(hostname) or ":" in hostname else DNS_ID(hostname)
        self._options = options

    def clientConnectionForTLS(self, protocol: Any) -> Any:
        """The connection's OpenSSL side."""
        connection = self._options.clientConnectionForTLS(protocol)
        connection.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, self._fits)
        return connection

    def _fits(self, connection: Any, certificate: Any, error: int, depth: int, trusted: bool) -> bool:
        if not trusted or depth:
            return bool(trusted)
        try:
            verify_service_identity(extract_patterns(certificate), [self._wanted], [])
        except Exception:  # whatever it is, it is not the certificate of that host
            return False
        return True


@implementer(IBodyProducer)
class _Body:
    """A body that is there as a whole, and is dropped when it was given."""

    def __init__(self, question: Mapping[str, Any]) -> None:
        self._body = json.dumps(question).encode()
        self.length = len(self._body)

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
