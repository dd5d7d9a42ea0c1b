"""One AMI connection: matches answers to actions, collects lists, hands events on.  It knows no log-in and no retry.

An action is answered, refused, timed out or lost, exactly once.  Events are handed on in the order they came, a bounded
number a reactor turn, so that a burst delays nothing else.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Mapping

from attrs import mutable
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall, IHandshakeListener, IReactorTime, ITCPTransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from easycall.asterisk.ami import Action, Codec, Message, ProtocolError
from easycall.asterisk.tls import NAMELESS, names_a_host, why_lost
from easycall.defer import Bell

__all__ = [
    "ActionRefused",
    "ActionTimeout",
    "AmiError",
    "Link",
    "LinkDown",
    "LinkFactory",
    "LinkLost",
    "TooManyActions",
]

log = Logger()

MAX_PENDING = 500
"""Actions waiting for their answer."""
MAX_QUEUED = 50_000
"""Messages received and not yet handed on, and items of one list; more closes the link."""
MAX_QUEUED_BYTES = 64 * 1024 * 1024
MESSAGES_PER_TURN = 200
DEADLINE_TOLERANCE = 0.001
"""Seconds a time limit may be short, so that what is due now is not waited for once more."""
MAX_UNENDED_LISTS = 2
"""So many lists in a row that never ended, and the link is given up."""


class AmiError(Exception):
    """Something went wrong with an AMI link or action."""


class LinkDown(AmiError):
    """There is no link: nothing was sent."""


class LinkLost(AmiError):
    """The link was lost after the action was sent: whether Asterisk carried it out is unknown."""


class ActionTimeout(AmiError):
    """No answer came in time: whether Asterisk carried the action out is unknown."""


class TooManyActions(AmiError):
    """Too many actions are waiting for answers: this one was not sent."""


class ActionRefused(AmiError):
    """Asterisk refused the action."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
        """Asterisk's reason, ``No such channel``."""


@mutable
class _Pending:
    """An action sent and not answered."""

    name: str
    answer: Deferred[list[Message]]
    items: list[Message] | None
    """What came of a list so far; None when the action's answer is one message."""
    seconds: float
    """Its time limit."""
    deadline: float


@implementer(IHandshakeListener)
class Link(Protocol):
    """See the module.  ``events`` are listeners by event name; no other event is looked at.

    With ``every``, that gets all messages instead, answers too, and matches them itself: :meth:`request` would wait in vain.
    """

    def __init__(
        self,
        clock: IReactorTime,
        events: Mapping[str, Callable[[Message], None]],
        *,
        every: Callable[[Message], None] | None = None,
    ) -> None:
        self._clock = clock
        self._events = events
        self._every = every
        self._codec = Codec(events if every is None else None)
        self._pending: dict[str, _Pending] = {}
        self._lists: dict[str, _Pending] = {}  # those of the pending actions that collect
        self._timer: IDelayedCall | None = None  # for the pending action whose time is up first
        self._due = 0.0  # when it rings
        self._unended = 0
        self._queue: deque[Message] = deque()
        self._queued_bytes = 0
        self._draining: IDelayedCall | None = None
        self._outgoing: list[bytes] | None = None  # actions asked for while messages are handled: they go out together
        self._ids = secrets.token_hex(4)  # not to be guessed: who could, could forge an item of a list
        self._sent = 0
        self._lost = Bell()
        self._aborted = False
        self.reason = ""
        """Why the link is lost, or about to be; empty while it is good."""
        self.heard = clock.seconds()
        """When the last byte came."""

    @property
    def greeting(self) -> str:
        """What Asterisk said first."""
        return self._codec.greeting

    def when_lost(self) -> Deferred[None]:
        """Fires when the connection is gone and everything that came over it was handed on."""
        return self._lost.wait()

    def abort(self, reason: str) -> None:
        """Close at once, without waiting for the peer."""
        if self.reason:
            return
        self.reason, self._aborted = reason, True
        self._queue.clear()
        if self.transport is not None:
            self.transport.abortConnection()  # type: ignore[attr-defined]

    # Actions

    def request(
        self, action: Action, seconds: float, *, listing: bool = False, action_id: str = ""
    ) -> Deferred[list[Message]]:
        """Send an action.  The Deferred gives its answer alone or, of a ``listing``, the items with the closing one.

        Raises LinkDown, TooManyActions and UnsafeValue: nothing was sent.  Fails with ActionRefused, ActionTimeout or
        LinkLost.  Cancelling it drops the answer, the action cannot be taken back.
        """
        if self.reason or self.transport is None:
            raise LinkDown(f"{action.name}: no link to Asterisk")
        if len(self._pending) >= MAX_PENDING:
            raise TooManyActions(f"{action.name}: {MAX_PENDING} actions are waiting for answers")
        self._sent += 1
        key = action_id or f"{self._ids}-{self._sent}"
        if key in self._pending:
            raise ValueError(f"{action.name}: an action with this ActionID is under way")
        data = self._codec.encode(action, key)
        answer: Deferred[list[Message]] = Deferred(lambda _: self._forget(key))
        deadline = self._clock.seconds() + seconds
        pending = self._pending[key] = _Pending(action.name, answer, [] if listing else None, seconds, deadline)
        if self._timer is None or deadline < self._due:
            self._watch(seconds, deadline)
        if listing:
            self._lists[key] = pending
            self._codec.open_list(key)
        if self._outgoing is None:
            self.transport.write(data)
        else:
            self._outgoing.append(data)
        return answer

    def _forget(self, key: str) -> None:
        self._take(key)

    def _take(self, key: str) -> _Pending | None:
        """Take an action off those that wait."""
        pending = self._pending.pop(key, None)
        if pending is not None and pending.items is not None:
            del self._lists[key]
            self._codec.close_list(key)
        if self._timer is not None and not self._pending:
            self._timer.cancel()
            self._timer = None
        return pending

    def _watch(self, seconds: float, deadline: float) -> None:
        """Let the timer ring at that moment: there is one for all actions, for each its own costs more."""
        if self._timer is None:
            self._timer = self._clock.callLater(seconds, self._look_at_clock)
        else:
            self._timer.reset(seconds)
        self._due = deadline

    def _look_at_clock(self) -> None:
        self._timer = None
        now = self._clock.seconds()
        for key in [key for key, pending in self._pending.items() if pending.deadline <= now + DEADLINE_TOLERANCE]:
            if (pending := self._take(key)) is not None:  # the failure of one may have cancelled another
                self._expire(pending)
        if self._pending and self._timer is None:
            first = min(pending.deadline for pending in self._pending.values())
            self._watch(first - now, first)

    def _expire(self, pending: _Pending) -> None:
        if pending.items is not None:
            self._unended += 1
            if self._unended >= MAX_UNENDED_LISTS:
                self.abort("lists do not end")
        pending.answer.errback(ActionTimeout(f"{pending.name}: no answer within {pending.seconds:g} s"))

    # What comes in

    def connectionMade(self) -> None:
        """An action goes out at once, not when there is more to send."""
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)

    def handshakeCompleted(self) -> None:
        """TLS stands; what we have asked for is sent only now, and not to a stranger."""
        if not names_a_host(self.transport.getPeerCertificate()):  # type: ignore[union-attr]
            self.abort(NAMELESS)

    def dataReceived(self, data: bytes) -> None:
        """Handle the wanted messages; when there are many, a portion of them now and the rest in the next turns."""
        if self.reason:
            return
        self.heard = self._clock.seconds()
        try:
            messages = self._codec.receive(data)
        except ProtocolError as error:
            log.error("AMI: protocol error, closing the link: {error}", error=error)
            self.abort(f"protocol error: {error}")
            return
        if self._draining is None and len(messages) <= MESSAGES_PER_TURN:
            self._handle_all(messages)
            return
        self._queue.extend(messages)
        self._queued_bytes += sum(len(message.block) for message in messages)
        if len(self._queue) > MAX_QUEUED or self._queued_bytes > MAX_QUEUED_BYTES:
            log.error("AMI: we cannot keep up, closing the link: {count} messages wait", count=len(self._queue))
            self.abort("too many events waiting")
        elif self._draining is None:
            self._drain()

    def _drain(self) -> None:
        """Handle a bounded number of messages; the rest in the next turn, after others had theirs."""
        self._draining = None
        portion = [self._queue.popleft() for _ in range(min(MESSAGES_PER_TURN, len(self._queue)))]
        self._queued_bytes -= sum(len(message.block) for message in portion)
        self._handle_all(portion)
        if self._queue:
            self._draining = self._clock.callLater(0, self._drain)
        elif self.transport is None:
            self._end()

    def _handle_all(self, messages: list[Message]) -> None:
        """Handle them in order, until the link is given up."""
        outgoing: list[bytes] = []
        self._outgoing = outgoing
        handle = self._every or self._handle
        for message in messages:
            if self._aborted:
                break
            handle(message)
        self._outgoing = None
        if outgoing and self.transport is not None:
            self.transport.write(b"".join(outgoing))

    def _handle(self, message: Message) -> None:
        if not message.name:
            self._answered(message)
        elif self._lists and (key := message.action_id) in self._lists:
            self._listed(key, self._lists[key], message)
        elif (listener := self._events.get(message.name)) is not None:
            try:
                listener(message)
            except Exception:
                log.failure("the listener of {event} failed", event=message.name)

    def _answered(self, message: Message) -> None:
        key = message.action_id
        pending = self._pending.get(key)
        if pending is None:
            if not key and not message.ok:
                log.warn("AMI: Asterisk refused something: {reason}", reason=message.get("Message"))
        elif not message.ok:
            self._take(key)
            pending.answer.errback(ActionRefused(message.get("Message") or message.get("Response")))
        elif pending.items is None:
            self._take(key)
            pending.answer.callback([message])

    def _listed(self, key: str, pending: _Pending, message: Message) -> None:
        """An item of a list, or its end."""
        items = pending.items if pending.items is not None else []
        items.append(message)
        if message.name.endswith("Complete") or message.get("EventList").lower() == "complete":
            self._unended = 0
            self._take(key)
            pending.answer.callback(items)
        elif len(items) > MAX_QUEUED:
            self.abort(f"a list of more than {MAX_QUEUED} items")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone; what it brought before is handed on first."""
        self.transport = None
        self.reason = self.reason or why_lost(reason)
        if self._draining is None:
            self._end()

    def _end(self) -> None:
        """Everything that still waits fails, once."""
        self._lost.ring()
        for key in list(self._pending):
            if (pending := self._take(key)) is not None:  # the failure of one may have cancelled another
                pending.answer.errback(LinkLost(f"{pending.name}: sent, then the link was lost: {self.reason}"))


class LinkFactory(Factory):
    """Gives an endpoint its one Link."""

    noisy = False

    def __init__(self, link: Link) -> None:
        self._link = link

    def buildProtocol(self, addr: IAddress | None) -> Link:
        """The Link."""
        return self._link
