"""``starpy.fastagi``: FastAGIFactory accepts Asterisk's connections, FastAGIProtocol is one of them and commands one leg.

The connection itself is :class:`easycall.asterisk.fastagi.Session`: its bounds hold, and what it does when a leg is gone.
"""

from __future__ import annotations

import logging
import shlex
import sys
from collections.abc import Callable, Collection, Coroutine
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IAddress, IDelayedCall
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from easycall.asterisk.agi import Reply
from easycall.asterisk.fastagi import IDLE_SECONDS, CommandFailed, FastAgiFactory, Session, SessionOver
from easycall.defer import start
from easycall.starpy.commands import FAILURE_CODE, Commands, result_line
from easycall.starpy.error import AGICommandFailure, Disconnected
from easycall.starpy.running import running_reactor

__all__ = ["FAILURE_CODE", "FastAGIFactory", "FastAGIProtocol", "InSequence", "log"]

log = logging.getLogger("FastAGI")
"""A logger of the standard library, as starpy has it.  Commands are not logged: there may be keyed digits in them."""

KEEP_SECONDS = IDLE_SECONDS / 2
"""How often an idle leg is kept, and looked after, by a NOOP."""


class FastAGIProtocol(Commands, Protocol):
    """One leg that Asterisk's dialplan has handed over by ``AGI(agi://…)``."""

    factory: FastAGIFactory

    def __init__(self, *args: Any, **named: Any) -> None:
        """Arguments are ignored, as in starpy."""
        self.variables: dict[str, str] = {}
        """What Asterisk told: ``agi_channel``, ``agi_uniqueid``, ``agi_arg_1`` …"""
        self._clock: Any = None
        self._session: Session | None = None
        self._under_way = 0
        self._keeping: IDelayedCall | None = None
        self._closed: Deferred[None] | None = None
        self._lost: Failure | None = None

    # The connection

    def connectionMade(self) -> None:
        """Wait for Asterisk to tell about its leg."""
        self._clock = self.factory.clock or running_reactor()
        self._session = self.factory.opened(self)
        if self._session is not None:
            self._session.makeConnection(self.transport)  # type: ignore[no-untyped-call]

    def dataReceived(self, data: bytes) -> None:
        """Asterisk says something."""
        if self._session is not None:
            self._session.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Every command without an answer fails, then :meth:`onClose` fires."""
        if self._keeping is not None:
            self._keeping.cancel()
            self._keeping = None
        if self._session is not None:
            self._session.connectionLost(reason)
        self.factory.closed(self, self._session)
        self._lost = reason
        if self._closed is not None:
            self._closed.errback(reason)

    def onClose(self) -> Deferred[None]:
        """A Deferred that *fails* with the reason when the connection is closed; always the same one."""
        if self._closed is None:
            self._closed = Deferred()
            if self._lost is not None:
                self._closed.errback(self._lost)
        return self._closed

    def finish(self) -> None:
        """Give the leg back: it goes on in the dialplan."""
        if self._session is not None:
            self._session.close()

    def begin(self, session: Session) -> None:
        """Asterisk has told about its leg: the program may have it."""
        self.variables = dict(session.variables)
        self._keeping = self._clock.callLater(KEEP_SECONDS, self._keep)
        try:
            result = self.factory.mainFunction(self)
        except Exception:
            self._failed(Failure())
            return
        if isinstance(result, Coroutine):
            result = start(result)
        if isinstance(result, Deferred):
            result.addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        """The program failed: the leg must not wait for it."""
        if not failure.check(Disconnected):  # a caller who hangs up is no fault of the program
            log.error("%r failed", self.factory.mainFunction, exc_info=failure.value)
        self.finish()

    def _keep(self) -> None:
        """A Session that is asked nothing counts as forgotten; starpy's programs may hold a leg as long as they like."""
        self._keeping = self._clock.callLater(KEEP_SECONDS, self._keep)
        if not self._under_way:
            self.noop().addErrback(lambda _: None)

    # Commands

    async def _reply(self, verb: str, *words: str, seconds: float) -> Reply:
        if self._session is None:
            raise Disconnected(f"{verb}: there is no connection to Asterisk")
        self._under_way += 1
        try:
            return await self._session.command(verb, *words, seconds=seconds)
        except SessionOver as over:
            raise Disconnected(str(over)) from None
        except CommandFailed as refused:
            raise AGICommandFailure(refused.code or FAILURE_CODE, str(refused)) from None
        finally:
            self._under_way -= 1

    def sendCommand(self, commandString: str) -> Deferred[str]:
        """Send a command of any kind; the Deferred gives what stood behind ``200 result=``.

        It is taken apart as Asterisk would, at blanks that are not in quotes, so that it stays one command.
        """
        return start(self._send_command(commandString))

    async def _send_command(self, line: str) -> str:
        words = shlex.shlex(line.rstrip("\r\n"), posix=True)
        words.whitespace, words.whitespace_split = " \t", True
        words.quotes = words.escapedquotes = '"'
        words.commenters = ""
        verb, *rest = words
        return result_line(await self._ask(verb.upper(), *rest, failure="", seconds=self.executeTimeout))

    def wait(self, duration: float) -> Deferred[int]:
        """A Deferred that fires with 0 after so many seconds; Asterisk is not told."""
        result: Deferred[int] = Deferred(lambda _: timer.cancel())
        timer = self._clock.callLater(max(0.0, duration), result.callback, 0)
        return result

    def jumpOnError(
        self, reason: Failure, difference: int = 100, forErrors: type[BaseException] | Collection[Any] | None = None
    ) -> Deferred[list[Any]]:
        """As an errback: let the dialplan go on at the priority where the leg came from, plus ``difference``.

        Other failures than ``forErrors`` go on to the next errback.
        """
        if forErrors:
            reason.trap(*(forErrors if isinstance(forErrors, (tuple, list)) else (forErrors,)))
        sequence = InSequence()
        sequence.append(self.setContext, self.variables["agi_context"])
        sequence.append(self.setExtension, self.variables["agi_extension"])
        sequence.append(self.setPriority, int(self.variables["agi_priority"]) + difference)
        sequence.append(self.finish)
        return sequence()


class InSequence:
    """Functions to be called one after another, each when the Deferred of the one before has fired."""

    def __init__(self) -> None:
        self.actions: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = []
        self.results: list[Any] = []

    def append(self, function: Callable[..., Any], *args: Any, **named: Any) -> None:
        """One more."""
        self.actions.append((function, args, named))

    def __call__(self) -> Deferred[list[Any]]:
        """Begin.  The Deferred gives all results; of a failure, ``failure.results`` are those before it."""
        return start(self._run()).addErrback(self._failed)

    async def _run(self) -> list[Any]:
        while self.actions:
            function, args, named = self.actions.pop(0)
            self.results.append(await maybeDeferred(function, *args, **named))
        return self.results

    def _failed(self, reason: Failure) -> Failure:
        reason.results = self.results  # type: ignore[attr-defined]
        return reason


class FastAGIFactory(Factory):
    """Calls ``mainFunction(agi)`` for each leg.

    What it raises, or the Deferred it returns fails with, is logged and ends the session.
    """

    protocol = FastAGIProtocol  # type: ignore[assignment]
    noisy = False
    clock: Any = None
    """Who tells the time; None: the reactor."""
    peers: Collection[str] | None = None
    """The addresses that may connect; None: all that can, as in starpy.  The protocol knows no log-in."""
    limit = 1000
    """So many connections at a time; further ones are closed at once."""

    def __init__(self, mainFunction: Callable[[FastAGIProtocol], Any]) -> None:
        self.mainFunction = mainFunction
        self.connections: set[FastAGIProtocol] = set()
        """Those that are open."""
        self._server: FastAgiFactory | None = None
        self._legs: dict[Session, FastAGIProtocol] = {}

    def buildProtocol(self, addr: IAddress | None) -> FastAGIProtocol | None:  # type: ignore[override]
        """A FastAGIProtocol, or None, which closes the connection."""
        host = str(getattr(addr, "host", "")).removeprefix("::ffff:")
        if self.peers is not None and host not in self.peers:
            log.warning("connection from %s closed: this peer is not allowed", host)
            return None
        if len(self.connections) >= self.limit:
            log.warning("connection from %s closed: there are %d already", host, self.limit)
            return None
        protocol = self.protocol()
        protocol.factory = self
        self.connections.add(protocol)
        return protocol

    def opened(self, protocol: FastAGIProtocol) -> Session | None:
        """The session of easycall's own server that does the work of a connection."""
        if self._server is None:  # not earlier: a program may set the clock when it has made the factory
            clock = self.clock or running_reactor()
            self._server = FastAgiFactory(self._begin, clock, peers=None, limit=sys.maxsize)  # these two we watch ourselves
        session = self._server.buildProtocol(protocol.transport.getPeer() if protocol.transport else None)
        if session is not None:
            self._legs[session] = protocol
        return session

    def _begin(self, session: Session) -> None:
        self._legs[session].begin(session)

    def closed(self, protocol: FastAGIProtocol, session: Session | None) -> None:
        """A connection is gone."""
        self.connections.discard(protocol)
        if session is not None:
            self._legs.pop(session, None)
