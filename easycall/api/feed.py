"""The live feed: every event of the journal, over WebSocket, as it happens.

A client first gets one ``snapshot`` message, then one message an event.  An event is written as JSON once and sent to all in
the next reactor turn, so that recording it costs the call next to nothing.  A client that reads slower than things happen is
cut off; it comes back and gets a new snapshot.
"""

from __future__ import annotations

import base64
import binascii
from collections import deque
from collections.abc import Callable, Collection, Mapping
from http import HTTPStatus
from typing import Any, cast

import msgspec
from attrs import frozen
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.websocket import WebSocketResource, WebSocketTransport
from wsproto.utilities import LocalProtocolError
from zope.interface import implementer

from easycall.api.conduct import Desktops, Journal
from easycall.api.problems import Problem
from easycall.api.site import BoundedRequest, Connection
from easycall.config import Token
from easycall.events import OF_SUPERVISION, AgentChanged, ContactEnded, Event
from easycall.stats.codec import message

__all__ = ["Feed", "Subscription"]

log = Logger()

PING_SECONDS = 20.0
"""A client that has not answered a ping when the next is due is dead."""

PER_TOKEN = 5
"""Feeds of one token at once; one more closes the oldest."""

MAX_EVENTS = 1_000
MAX_BYTES = 256 << 10
"""What is kept for a client that does not read."""

MAX_INPUT = 16 << 10
"""Bytes a client may send between two pings; it has nothing to say but pongs."""

CLOSE_SECONDS = 2.0
"""How long a client that is being closed may take to read what it was sent."""

GOING_AWAY, POLICY, TOO_SLOW, REPLACED = 1001, 1008, 1013, 4001
"""Close codes (RFC 6455 §7.4 and the IANA registry): the daemon stops; too many feeds; come back for a snapshot; and one of
our own: a newer desktop of the agent is there, do not come back."""


@frozen
class Message:
    """One event, written once for everybody."""

    seq: int
    event: Event
    text: str


@implementer(IPushProducer)
class Subscription:
    """One client of the feed: a :class:`twisted.web.websocket.WebSocketProtocol`."""

    def __init__(
        self, feed: Feed, connection: Connection, token: Token, agent: str, contact: str, work: Collection[str]
    ) -> None:
        """``agent``: only this agent's events and the agent-less ones of its contacts (now: ``contact``, ``work``)."""
        self.token = token.name
        self.desktop_of = token.agent
        """The agent whose desktop this is: the token is the agent's own; empty: it is none."""
        self.answered = True
        """True when the last ping was answered."""
        self._feed = feed
        self._connection = connection
        self._agent = agent
        self._contact = contact
        self._work: Collection[str] = work
        """The contacts without a call that the agent is offered or has."""
        self._after = 0
        self._transport: WebSocketTransport | None = None
        self._paused = False
        self._closing: IDelayedCall | None = None
        self._backlog: deque[str] = deque()
        self._bytes = 0

    # Out

    def send(self, messages: list[Message]) -> None:
        """Send what concerns this client."""
        for one in messages:
            if one.seq > self._after and self._concerns(one.event):
                self._send(one.text)

    def ping(self) -> None:
        """Ask for a sign of life, or cut a client that gave none since the last time."""
        if not self.answered:
            self._connection.abortConnection()
        elif self._transport is not None:
            self.answered = False
            self._connection.allowance = MAX_INPUT
            self._say(self._transport.ping)

    def replaced(self) -> None:
        """A newer desktop of the agent is there: say so and close."""
        facts = {"seq": self._feed.journal.last, "kind": "desktop.replaced", "at": self._feed.clock.seconds()}
        self._send(msgspec.json.encode({**facts, "agent": self.desktop_of}).decode())
        self.close(REPLACED)

    def close(self, code: int) -> None:
        """Close with a code; what the client does not read in time is thrown away."""
        if self._transport is None or self._closing is not None:
            return
        self._backlog.clear()
        self._closing = self._feed.clock.callLater(CLOSE_SECONDS, self._connection.abortConnection)
        self._transport.detachProducer()  # else Twisted waits for more of us and never closes
        self._say(self._transport.loseConnection, code)

    def _say(self, verb: Callable[..., None], *what: Any) -> None:
        try:
            verb(*what)
        except LocalProtocolError:  # the client said good-bye and does not read our answer
            self._connection.abortConnection()

    def _send(self, text: str) -> None:
        if self._transport is None or self._closing is not None:
            return
        if not self._paused:
            self._say(self._transport.sendTextMessage, text)
            return
        self._backlog.append(text)
        self._bytes += len(text.encode())
        if len(self._backlog) > MAX_EVENTS or self._bytes > MAX_BYTES:
            log.info("a live feed of token {token} reads too slowly and is closed", token=self.token)
            self.close(TOO_SLOW)

    def _concerns(self, event: Event) -> bool:
        if self._agent and isinstance(event, OF_SUPERVISION):
            return event.supervisor == self._agent or (self._feed.tell_agents and event.agent == self._agent)
        if not self._agent or event.agent == self._agent:
            if isinstance(event, AgentChanged):
                self._work = event.work
            if event.contact and event.contact not in self._work:
                self._contact = event.contact
            return True
        if event.agent or not event.contact or (event.contact != self._contact and event.contact not in self._work):
            return False
        if isinstance(event, ContactEnded) and event.contact == self._contact:
            self._contact = ""
        return True

    # IPushProducer: the transport's word on whether the client reads

    def pauseProducing(self) -> None:
        """The client does not read: keep what comes."""
        self._paused = True

    def resumeProducing(self) -> None:
        """The client reads again."""
        self._paused = False
        while self._backlog and not self._paused:
            text = self._backlog.popleft()
            self._bytes -= len(text.encode())
            self._send(text)

    def stopProducing(self) -> None:
        """The connection is lost; :meth:`connectionLost` follows."""

    # WebSocketProtocol

    def negotiationStarted(self, transport: WebSocketTransport) -> None:
        """The connection is a WebSocket from now."""
        self._transport = transport
        # The HTTP channel was the producer; left there it would stop reading at the first full buffer and never go on.
        transport.detachProducer()
        transport.attachProducer(self)
        self._connection.allowance = MAX_INPUT

    def negotiationFinished(self) -> None:
        """Greet with the snapshot; events after it follow."""
        self._after = self._feed.journal.last
        self._feed.joined(self)
        board = self._feed.board(self._agent)
        self._send(msgspec.json.encode({"seq": self._after, "kind": "snapshot", **board}).decode())

    def pongReceived(self, payload: bytes) -> None:
        """The client lives."""
        self.answered = True

    def textMessageReceived(self, message: str) -> None:
        """Ignored: the feed has one direction."""

    def bytesMessageReceived(self, data: bytes | bytearray) -> None:
        """Ignored: the feed has one direction."""

    def connectionLost(self, reason: Failure) -> None:
        """The client is gone."""
        self._transport = None
        if self._closing is not None and self._closing.active():
            self._closing.cancel()
        self._feed.left(self)


class Feed:
    """All clients of the live feed."""

    def __init__(
        self,
        clock: IReactorTime,
        journal: Journal,
        board: Callable[[str], Mapping[str, Any]],
        desktops: Desktops,
        *,
        tell_agents: bool = True,
    ) -> None:
        """``board(agent)`` is what a snapshot shows; the empty string stands for everybody.  ``desktops`` is told which
        agents have one.

        ``tell_agents``: the feed of one agent tells that the agent is supervised.
        """
        self.tell_agents = tell_agents
        self.clock = clock
        self.journal = journal
        self.board = board
        self._desktops = desktops
        self._newest: dict[str, Subscription] = {}
        """Agent -> the desktop that counts."""
        self._clients: list[Subscription] = []
        self._turn: list[Message] = []
        self._timers: dict[str, IDelayedCall] = {}
        self._stop_listening = journal.subscribe(self._heard)

    def subscribe(self, request: BoundedRequest, agent: str, contact: str, work: Collection[str] = ()) -> WebSocketResource:
        """What renders the upgrade of ``request``.  Raises Problem when it is no WebSocket handshake."""
        _check_handshake(request)
        connection = cast(Connection, request.channel.transport)
        return WebSocketResource(_Once(Subscription(self, connection, request.token, agent, contact, work)))

    def joined(self, client: Subscription) -> None:
        """A client is ready; an older desktop of the agent, or the oldest of too many, makes room."""
        if client.desktop_of:
            older = self._newest.get(client.desktop_of)
            self._newest[client.desktop_of] = client
            if older is not None:
                older.replaced()
            self._desktops.came(client.desktop_of)
        same = [other for other in self._clients if other.token == client.token]
        if len(same) >= PER_TOKEN:
            same[0].close(POLICY)
        self._clients.append(client)
        if "ping" not in self._timers:
            self._timers["ping"] = self.clock.callLater(PING_SECONDS, self._ping)

    def left(self, client: Subscription) -> None:
        """A client is gone."""
        if client in self._clients:
            self._clients.remove(client)
        if client.desktop_of and self._newest.get(client.desktop_of) is client:
            del self._newest[client.desktop_of]
            self._desktops.went(client.desktop_of)
        if not self._clients:
            self._drop_timers()

    def stop(self) -> None:
        """Say good-bye to all clients and hear no more."""
        self._stop_listening()
        for client in tuple(self._clients):
            client.close(GOING_AWAY)
        self._drop_timers()

    def _heard(self, sequence: int, event: Event) -> None:
        if not self._clients:
            return
        self._turn.append(Message(sequence, event, message(sequence, event)))
        if "turn" not in self._timers:
            self._timers["turn"] = self.clock.callLater(0, self._deliver)

    def _deliver(self) -> None:
        self._timers.pop("turn", None)
        self.journal.write()  # what a client has seen is not lost, whatever becomes of this process
        messages, self._turn = self._turn, []
        for client in tuple(self._clients):
            client.send(messages)

    def _ping(self) -> None:
        self._timers["ping"] = self.clock.callLater(PING_SECONDS, self._ping)
        for client in tuple(self._clients):
            client.ping()

    def _drop_timers(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._turn.clear()


@frozen
class _Once:
    """The factory Twisted asks for: this request's own subscription."""

    client: Subscription

    def buildProtocol(self, request: object) -> Subscription:
        return self.client


def _check_handshake(request: BoundedRequest) -> None:
    """RFC 6455 §4.2.1, so that what is no handshake is answered as any other error."""
    if (request.getHeader("Upgrade") or "").lower() != "websocket":
        raise Problem(
            HTTPStatus.UPGRADE_REQUIRED, "this is a WebSocket", headers={"Upgrade": "websocket", "Connection": "Upgrade"}
        )
    if request.getHeader("Sec-WebSocket-Version") != "13":
        raise Problem(
            HTTPStatus.UPGRADE_REQUIRED, "only version 13 of WebSocket is spoken", headers={"Sec-WebSocket-Version": "13"}
        )
    try:
        key = base64.b64decode(request.getHeader("Sec-WebSocket-Key") or "", validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 16 or "upgrade" not in (request.getHeader("Connection") or "").lower():
        raise Problem(HTTPStatus.BAD_REQUEST, "the WebSocket handshake is not complete")
