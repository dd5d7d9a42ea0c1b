"""``starpy.manager``: AMIFactory logs in, AMIProtocol is one connection to Asterisk's manager interface.

What happens when something goes wrong is in docs/starpy.rst.  The connection itself is :class:`easycall.asterisk.link.Link`.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConnector, IDelayedCall, ITCPTransport
from twisted.internet.protocol import Protocol, ReconnectingClientFactory, connectionDone
from twisted.python.failure import Failure

from easycall.asterisk.ami import Codec, Message
from easycall.asterisk.link import MAX_PENDING, MAX_QUEUED, Link
from easycall.asterisk.manager import FIRST_RETRY_SECONDS, REFUSED_RETRY_SECONDS, RETRY_GROWTH, RETRY_JITTER
from easycall.defer import start
from easycall.starpy import error
from easycall.starpy.handlers import Handlers, called, log
from easycall.starpy.message import AMIMessage, Request, taken_apart
from easycall.starpy.older import OlderActions
from easycall.starpy.running import running_reactor

__all__ = ["AMIFactory", "AMIProtocol", "deferredErrorResp", "log"]

MAX_KEPT = 1000
"""Callbacks of :meth:`AMIProtocol.sendMessage` that were answered and wait for events of the same ActionID."""

Answered = Callable[[Any], Any]
"""Gets each AMIMessage with the ActionID, or an exception: ActionTimeout or Disconnected."""


class deferredErrorResp(Deferred[AMIMessage]):
    """What :meth:`AMIProtocol.sendDeferred` gives: a Deferred that can also tell of a refusal."""

    _refused: Callable[[AMIMessage], Any] | None = None

    def registerError(self, function: Callable[[AMIMessage], Any]) -> None:
        """Call ``function`` with the answer when Asterisk refuses; the Deferred gets that answer as its result too."""
        self._refused = function

    def tell(self, answer: AMIMessage) -> None:
        """The answer is there."""
        if self._refused is not None and answer.get("response") == "Error":
            called(self._refused, answer)
        self.callback(answer)


class AMIProtocol(Handlers, OlderActions, Protocol):
    """One connection, logged in."""

    factory: AMIFactory
    id: Any = None
    """The ``id`` of the factory."""

    def __init__(self, *args: Any, **named: Any) -> None:
        """Arguments are ignored, as in starpy."""
        super().__init__()
        self.actionIDCallbacks: dict[str, Answered] = {}
        self.count = 0
        self._timers: dict[str, IDelayedCall] = {}  # of the actions under way
        self._clock: Any = None
        self._wire: Link | None = None
        self._ids = secrets.token_hex(4)  # not to be guessed: who could, could forge an answer

    @property
    def amiVersion(self) -> str | None:
        """The version of Asterisk's manager interface, ``11.0.0``; None until it was told."""
        return self._wire.greeting.rpartition("/")[2] or None if self._wire else None

    # The connection

    def connectionMade(self) -> None:
        """Log in."""
        self._clock = self.factory.clock or running_reactor()
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpKeepAlive(True)  # who only listens would never notice that Asterisk is gone
        self._wire = wire = Link(self._clock, {}, every=self._received)
        wire.makeConnection(self.transport)  # type: ignore[no-untyped-call]
        wire.when_lost().addCallback(lambda _: self._fail_all(wire.reason))
        log_in = self.login if self.factory.plaintext_login else self.loginChallengeResponse
        log_in().addCallbacks(lambda _: self.factory.loggedIn(self), lambda reason: self.factory.refused(self, reason))

    def dataReceived(self, data: bytes) -> None:
        """Asterisk says something."""
        if self._wire is not None:
            self._wire.dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """What came is handed on, then every action without an answer fails."""
        if self._wire is not None:
            self._wire.connectionLost(reason)

    def login(self) -> Deferred[AMIMessage]:
        """Log in with the secret in clear text.  The factory does it."""
        self.id = self.factory.id
        return self.action("login", username=self.factory.username, secret=self.factory.secret)

    def loginChallengeResponse(self) -> Deferred[AMIMessage]:
        """Log in by MD5, without sending the secret.  The factory does it when ``plaintext_login`` is false."""
        self.id = self.factory.id
        return start(self._answer_challenge())

    async def _answer_challenge(self) -> AMIMessage:
        challenge = await self.action("Challenge", authtype="MD5")
        mixed = f"{challenge['challenge']}{self.factory.secret}".encode()
        key = hashlib.md5(mixed, usedforsecurity=False).hexdigest()  # the protocol knows no other digest
        return await self.action("Login", authtype="MD5", username=self.factory.username, key=key)

    def logoff(self) -> Deferred[AMIMessage]:
        """Log off; Asterisk closes the connection, and the factory does not make it anew."""
        self.factory.leave()
        return self._checked({"action": "logoff"}, expected="Goodbye")

    # Actions

    def generateActionId(self) -> str:
        """A new ActionID."""
        self.count += 1
        return f"{self._ids}-{self.count}"

    def sendMessage(self, message: Request, responseCallback: Answered | None = None, seconds: float | None = None) -> str:
        """Send an action and give its ActionID.

        ``responseCallback`` is called with each answer and event of that ActionID, or with an exception when there is none
        within ``seconds`` or the connection is lost first.  Raises Disconnected, UnsafeValue, TooManyActions and ValueError:
        nothing was sent.
        """
        if responseCallback is None:
            return self._send(message, None, seconds)

        def answered(answer: AMIMessage | Exception) -> None:
            self._stop_timer(sent)
            responseCallback(answer)

        sent = self._send(message, answered, seconds)
        return sent

    def _send(self, message: Request, function: Answered | None, seconds: float | None) -> str:
        action, action_id = taken_apart(message)
        action_id = action_id or self.generateActionId()
        data = Codec.encode(action, action_id)
        if self._wire is None or self._wire.reason or self._wire.transport is None:
            raise error.Disconnected(f"{action.name}: not sent, there is no connection to Asterisk")
        if function is not None:
            self._expect(action_id, action.name, function, self.actionTimeout if seconds is None else seconds)
        self._wire.transport.write(data)
        return action_id

    def _expect(self, action_id: str, name: str, function: Answered, seconds: float) -> None:
        if action_id in self._timers:
            raise ValueError(f"{name}: an action with this ActionID is under way")
        if len(self._timers) >= MAX_PENDING:
            raise error.TooManyActions(f"{name}: {MAX_PENDING} actions are waiting for answers")
        if len(self.actionIDCallbacks) - len(self._timers) >= MAX_KEPT:
            self.cleanup(None, next(key for key in self.actionIDCallbacks if key not in self._timers))
        self.actionIDCallbacks[action_id] = function
        self._timers[action_id] = self._clock.callLater(seconds, self._expire, action_id, name, seconds)

    def sendDeferred(self, message: Request, seconds: float | None = None) -> deferredErrorResp:
        """Send an action; the Deferred gives its answer, also one that is a refusal."""
        result = deferredErrorResp(lambda _: self.cleanup(None, sent))
        sent = ""

        def answered(answer: AMIMessage | Exception) -> None:
            self.cleanup(None, sent)
            if isinstance(answer, Exception):
                result.errback(answer)
            else:
                result.tell(answer)

        try:
            sent = self._send(message, answered, seconds)
        except Exception:
            result.errback(Failure())
        return result

    def collectDeferred(self, message: Request, stopEvent: str, seconds: float | None = None) -> Deferred[list[AMIMessage]]:
        """Send an action; the Deferred gives its answer and every event that belongs to it, ``stopEvent`` being the last."""
        result: Deferred[list[AMIMessage]] = Deferred(lambda _: self.cleanup(None, sent))
        sent = ""
        items: list[AMIMessage] = []

        def answered(answer: AMIMessage | Exception) -> None:
            if not isinstance(answer, Exception):
                if answer.get("response") == "Error" and "event" not in answer:
                    answer = error.AMICommandFailure(answer)
                elif len(items) >= MAX_QUEUED:
                    answer = error.TooManyActions(f"a list of more than {MAX_QUEUED} items")
                else:
                    items.append(answer)
            if isinstance(answer, Exception):
                self.cleanup(None, sent)
                result.errback(answer)
            elif answer.get("event") == stopEvent:
                self.cleanup(None, sent)
                result.callback(items)

        try:
            sent = self._send(message, answered, seconds)
        except Exception:
            result.errback(Failure())
        return result

    def cleanup(self, result: Any, actionid: str) -> Any:
        """Expect nothing more for an ActionID; gives ``result``, so that it can be a callback."""
        self.actionIDCallbacks.pop(actionid, None)
        self._stop_timer(actionid)
        return result

    def errorUnlessResponse(self, message: AMIMessage, expected: str = "Success") -> AMIMessage:
        """The message if its response is ``expected``.  Raises AMICommandFailure otherwise."""
        if isinstance(message, dict) and message.get("response") != expected:
            raise error.AMICommandFailure(message)
        return message

    def _stop_timer(self, action_id: str) -> None:
        timer = self._timers.pop(action_id, None)
        if timer is not None and timer.active():
            timer.cancel()

    def _expire(self, action_id: str, name: str, seconds: float) -> None:
        self._fail(action_id, error.ActionTimeout(f"{name}: no answer within {seconds:g} s"))

    def _fail_all(self, reason: str) -> None:
        for action_id in list(self.actionIDCallbacks):
            self._fail(action_id, error.Disconnected(f"sent, then the connection to Asterisk was lost: {reason}"))

    def _fail(self, action_id: str, why: Exception) -> None:
        function = self.actionIDCallbacks.get(action_id)
        self.cleanup(None, action_id)
        if function is not None:
            called(function, why)

    # What comes in

    def _received(self, message: Message) -> None:
        handlers = (self.eventTypeCallbacks, self.factory.eventTypeCallbacks)
        if not self.actionIDCallbacks and not any(name in each for each in handlers for name in (message.name, None)):
            return  # nobody wants it: it is not even looked at
        fields = AMIMessage(message)
        function = self.actionIDCallbacks.get(fields.get("actionid", ""))
        if function is not None:
            called(function, fields)
        if message.name:
            self.dispatchEvent(fields)

    def dispatchEvent(self, event: AMIMessage) -> None:
        """Call the functions registered for the event, here and on the factory."""
        for name in (event["event"], None):
            for where in (self, self.factory):
                for function in tuple(where.eventTypeCallbacks.get(name, ())):
                    called(function, self, event)


class AMIFactory(Handlers, ReconnectingClientFactory):
    """Logs in, and again when the connection is lost.

    Functions registered on the factory are called whatever the connection.  Those registered on an AMIProtocol go over to
    the next one if there is no ``on_reconnect``; with it, the program registers its functions itself when it is called.
    """

    protocol = AMIProtocol  # type: ignore[assignment]
    noisy = False
    initialDelay = FIRST_RETRY_SECONDS
    maxDelay = REFUSED_RETRY_SECONDS  # type: ignore[assignment]
    factor = RETRY_GROWTH
    jitter = RETRY_JITTER

    def __init__(
        self,
        username: str,
        secret: str,
        id: Any = None,
        plaintext_login: bool = True,
        on_reconnect: Callable[[Deferred[AMIProtocol]], Any] | None = None,
    ) -> None:
        """``on_reconnect`` is called after each loss, with a Deferred of the next AMIProtocol."""
        super().__init__()
        self.username = username
        self.secret = secret
        self.id = id
        self.plaintext_login = plaintext_login
        self.on_reconnect = on_reconnect
        self.loginDefer: Deferred[AMIProtocol] = Deferred()
        self._last: AMIProtocol | None = None  # the one that logged in

    def login(
        self,
        ip: str = "localhost",
        port: int = 5038,
        timeout: float = 5,
        bindAddress: tuple[str, int] | None = None,
    ) -> Deferred[AMIProtocol]:
        """Connect and log in.

        Fails with what Twisted says of the connection, AMICommandFailure for a refused log-in, ActionTimeout or
        Disconnected, and then nothing more is tried.
        """
        self._last = None
        self.resetDelay()  # type: ignore[no-untyped-call]
        reactor = running_reactor()
        self.loginDefer = Deferred(lambda _: connector.disconnect())
        self.connector = connector = reactor.connectTCP(ip, port, self, timeout=timeout, bindAddress=bindAddress)
        return self.loginDefer

    def leave(self) -> None:
        """The connection is meant to end."""
        self.stopTrying()  # type: ignore[no-untyped-call]

    def loggedIn(self, protocol: AMIProtocol) -> None:
        """A connection is logged in."""
        self.resetDelay()  # type: ignore[no-untyped-call]
        if self._last is not None and self.on_reconnect is None:
            _carry_over(self._last, protocol)
        self._last = protocol
        if not self.loginDefer.called:
            self.loginDefer.callback(protocol)

    def refused(self, protocol: AMIProtocol, reason: Failure) -> None:
        """A connection could not be logged in."""
        if protocol.transport is not None:
            protocol.transport.loseConnection()
        if self._last is None:
            self._gave_up(reason)
        else:
            self.delay = self.maxDelay  # a wrong secret must not hammer Asterisk
            log.error("no log-in after the connection was lost, trying again: %s", reason.getErrorMessage())

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        """The first connection is given up, a lost one is tried again for ever."""
        if self._last is None:
            self._gave_up(reason)
        else:
            self.retry(connector)  # type: ignore[no-untyped-call]

    def clientConnectionLost(self, connector: IConnector, reason: Failure) -> None:
        """Connect again, if we were logged in and nobody logged off."""
        if self._last is None or not self.continueTrying:
            return
        log.warning("connection to Asterisk lost, connecting again: %s", reason.getErrorMessage())
        if self.loginDefer.called:
            self.loginDefer = Deferred()
            if self.on_reconnect is not None:
                called(self.on_reconnect, self.loginDefer)
        self.retry(connector)  # type: ignore[no-untyped-call]

    def _gave_up(self, reason: Failure) -> None:
        self.stopTrying()  # type: ignore[no-untyped-call]
        if not self.loginDefer.called:
            self.loginDefer.errback(reason)


def _carry_over(old: AMIProtocol, new: AMIProtocol) -> None:
    """Register on ``new`` what is registered on ``old``, but for its own methods: ``new`` has them too."""
    for name, functions in old.eventTypeCallbacks.items():
        here = new.eventTypeCallbacks.setdefault(name, [])
        here.extend(each for each in functions if each not in here and getattr(each, "__self__", None) is not old)
