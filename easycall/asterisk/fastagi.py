"""The FastAGI server: one connection is one leg at home, and one :class:`Session`.

Asterisk connects when a leg reaches ``AGI(agi://…)`` in its dialplan, and then does what it is told, one command at a time.
While the connection is open Asterisk keeps the leg, even one that hung up: so a session that is over closes at once, and
no session stays open without a command or an end in sight.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from socket import socket

from attrs import mutable
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime, ISystemHandle, ITCPTransport
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from easycall.asterisk import agi
from easycall.asterisk.agi import Environment, Hangup, ProtocolError, Reply
from easycall.asterisk.agi_commands import COMMAND_SECONDS, CommandFailed, Commands, SessionOver
from easycall.defer import Bell

__all__ = ["CommandFailed", "FastAgiFactory", "Session", "SessionOver", "TooManyCommands"]

log = Logger()

ENVIRONMENT_SECONDS = 5.0
"""Within which a peer must have told about its leg."""
IDLE_SECONDS = 60.0
"""How long a session may be without any command: whoever held it has forgotten it."""
TICK_SECONDS = 1.0
"""How often the time limits are looked at: they are kept to a second, and a command costs no timer."""
HANGUP = "Asterisk said HANGUP"
MAX_WAITING = 50
"""Commands of one session that wait for their turn."""
MAX_SILENT = 200
"""Connections that have not told about their leg."""


class TooManyCommands(Exception):
    """So many commands wait for their turn that this one was not taken."""


@mutable(eq=False)
class _Waiting:
    """A command that waits for its turn or its answer."""

    verb: str
    line: bytes
    seconds: float
    answer: Deferred[Reply] | None
    """None when nobody wants the answer any more."""


class Session(Protocol, Commands):
    """One visit of a leg: see :class:`easycall.asterisk.agi_commands.Commands` for what it can be told."""

    factory: FastAgiFactory

    def __init__(self, clock: IReactorTime) -> None:
        self.variables: Mapping[str, str] = {}
        """What Asterisk told about the leg, ``agi_uniqueid`` and so on."""
        self.arguments: tuple[str, ...] = ()
        """The arguments of the dialplan's ``AGI()``."""
        self._clock = clock
        self._codec = agi.Codec()
        self._commands: deque[_Waiting] = deque()  # the first is on its way
        self._deadline = clock.seconds() + ENVIRONMENT_SECONDS
        self._deadline_of = "its environment"
        self._socket: socket | None = None
        self._unsent = b""
        self._why = ""
        self._outliving = False
        self._hung_up = False
        self._over = Bell()

    def __repr__(self) -> str:
        return f"<AGI session of {self.variables.get('agi_uniqueid', '?')}>"

    @property
    def over(self) -> bool:
        """True once the leg is not ours any more."""
        return self._over.rung

    @property
    def hung_up(self) -> bool:
        """True once Asterisk said that the leg was hung up, or taken; a connection that breaks says nothing."""
        return self._hung_up

    @property
    def busy(self) -> bool:
        """True while a command is on its way."""
        return bool(self._commands)

    def when_over(self) -> Deferred[None]:
        """A Deferred of the asker's own that fires when the leg is not ours any more (at once if so)."""
        return self._over.wait()

    def close(self) -> None:
        """End the session: the leg goes on in the dialplan.  What waits fails with SessionOver."""
        self._end("the session was closed")

    @contextmanager
    def outliving_hang_up(self) -> Iterator[None]:
        """While the ``with`` lasts HANGUP does not end the session: Asterisk keeps the variables of the leg for so long.

        Commands that need the leg still end it.
        """
        self._outliving = True
        try:
            yield
        finally:
            self._outliving = False
            if self._hung_up:
                self._end(HANGUP)

    async def command(self, verb: str, *words: str, seconds: float = COMMAND_SECONDS) -> Reply:
        """Send one command and give its answer of code 200; later commands wait their turn.

        ``seconds`` count from when it is sent; no answer within them ends the session.  Raises SessionOver, CommandFailed,
        UnsafeValue and TooManyCommands.  A cancelled command that is on its way is not taken back: its answer is dropped.
        """
        line = agi.command(verb, *words)
        if self._over.rung:
            raise SessionOver(f"{verb}: {self._why}")
        if len(self._commands) > MAX_WAITING:
            raise TooManyCommands(f"{verb}: {MAX_WAITING} commands are waiting")
        waiting = _Waiting(verb, line, seconds, None)
        answer: Deferred[Reply] = Deferred(lambda _: self._forget(waiting))
        waiting.answer = answer
        self._commands.append(waiting)
        if len(self._commands) == 1:
            self._send(waiting)
        reply = await answer
        if reply.code != 200:
            raise CommandFailed(f"{verb}: Asterisk answers {reply.code}", reply.code)
        return reply

    def _send(self, waiting: _Waiting) -> None:
        self._deadline, self._deadline_of = self._clock.seconds() + waiting.seconds, waiting.verb
        if self._socket is not None:
            self._unsent = waiting.line
            self.factory.send_soon(self)
        elif self.transport is not None:
            self.transport.write(waiting.line)  # in one piece: half a line makes Asterisk spin

    def send_now(self) -> None:
        """Send what the factory was asked to send soon.

        Straight to the socket, which costs half: the transport would ask the reactor to tell when the socket takes data.
        Nothing waits in the transport then, for what was sent before has been answered.
        """
        line, self._unsent = self._unsent, b""
        if not line or self._socket is None or self.transport is None:
            return
        sent = 0
        with suppress(OSError):  # full, or broken: the transport deals with it
            sent = self._socket.send(line)
        if sent < len(line):
            self.transport.write(line[sent:])

    def _forget(self, waiting: _Waiting) -> None:
        """Nobody wants the answer: one on its way must still be read, or it would be taken for the next one's."""
        waiting.answer = None
        if self._commands and self._commands[0] is not waiting:
            self._commands.remove(waiting)

    # What comes in

    def connectionMade(self) -> None:
        """A command goes out at once, not when there is more to send."""
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
        if ISystemHandle.providedBy(self.transport):
            handle = self.transport.getHandle()
            self._socket = handle if isinstance(handle, socket) else None  # of TLS it is another

    def dataReceived(self, data: bytes) -> None:
        """Take what Asterisk says."""
        if self._over.rung:
            return
        try:
            items = self._codec.receive(data)
            self._check(items)
            for item in items:
                self._take(item)
                if self._over.rung:
                    return
        except ProtocolError as error:
            log.warn("FastAGI: closing {session}: {error}", session=self, error=error)
            self._end(f"protocol error: {error}", abort=True)

    def _check(self, items: list[Environment | Reply | Hangup]) -> None:
        """Asterisk speaks when it is asked: what came together with an answer is no answer to what we ask next.

        It is the rest of a value with line breaks in it, and then the first answer is not true either.
        """
        if len(items) == 1 and self._codec.clean:
            return
        said = sum(not isinstance(item, Hangup) for item in items)
        if said > 1 or (said and not self._codec.clean):
            raise ProtocolError("more than one answer at once")

    def _take(self, item: Environment | Reply | Hangup) -> None:
        if isinstance(item, Reply):
            self._answered(item)
        elif isinstance(item, Hangup):
            self._hung_up = True
            if not self._outliving:
                self._end(HANGUP)
        else:
            self.variables, self.arguments = item.variables, item.arguments
            self._rest()
            self.factory.begin(self)

    def _answered(self, reply: Reply) -> None:
        if not self._commands:
            raise ProtocolError("an answer to no command")
        waiting = self._commands.popleft()
        if reply.code == 511:
            self._commands.appendleft(waiting)  # it fails with the others
            self._end("Asterisk answers 511")
            return
        if self._commands:
            self._send(self._commands[0])
        else:
            self._rest()
        answer, waiting.answer = waiting.answer, None
        if answer is not None:
            answer.callback(reply)

    def _rest(self) -> None:
        self._deadline, self._deadline_of = self._clock.seconds() + IDLE_SECONDS, "a command"

    def look_at_clock(self, now: float) -> None:
        """End the session if it has waited too long."""
        if now >= self._deadline and not self._over.rung:
            log.warn("FastAGI: closing {session}: it waited too long for {what}", session=self, what=self._deadline_of)
            self._end(f"no end of the wait for {self._deadline_of}", abort=True)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Asterisk closed, or we did."""
        self._socket = None
        self._end("the connection is lost")
        self.factory.ended(self)

    def _end(self, why: str, *, abort: bool = False) -> None:
        """Close at once, and let everything that waits fail, once."""
        if self._over.rung:
            return
        self._why = why
        if self.transport is not None:
            if abort:
                self.transport.abortConnection()  # type: ignore[attr-defined]
            else:
                self.send_now()
                self.transport.loseConnection()
        commands, self._commands = self._commands, deque()
        self._over.ring()
        for waiting in commands:
            answer, waiting.answer = waiting.answer, None
            if answer is not None and not answer.called:
                answer.errback(SessionOver(f"{waiting.verb}: {why}"))


class FastAgiFactory(ServerFactory):
    """Accepts Asterisk's connections; ``serve(session)`` is called when the leg is known, and returns at once.

    Only ``peers`` (addresses) are let in: the protocol knows no log-in, and who speaks it commands a leg.  None lets in
    everybody.  More than ``limit`` sessions are closed at once, so that the dialplan can go on with its fallback instead of
    waiting.
    """

    noisy = False

    def __init__(
        self,
        serve: Callable[[Session], None],
        clock: IReactorTime,
        *,
        peers: Collection[str] | None = ("127.0.0.1", "::1"),
        limit: int = 1000,
    ) -> None:
        self._serve = serve
        self._clock = clock
        self._peers = None if peers is None else frozenset(peers)
        self._limit = limit
        self._silent: dict[Session, None] = {}  # in the order in which they came
        self._sending: list[Session] = []
        self._tick: IDelayedCall | None = None
        self.sessions: set[Session] = set()
        """The sessions whose leg is known and whose connection is open."""
        self.refused = 0
        """How many connections were closed because the peer is unknown or there were too many."""

    def buildProtocol(self, addr: IAddress | None) -> Session | None:  # type: ignore[override]
        """A session, or None, which closes the connection at once."""
        host = str(getattr(addr, "host", "")).removeprefix("::ffff:")
        if self._peers is not None and host not in self._peers:
            why = "this peer is not allowed"
        elif len(self.sessions) >= self._limit:
            why = f"there are {self._limit} sessions"
        else:
            self._make_room()
            session = Session(self._clock)
            session.factory = self
            self._silent[session] = None
            if self._tick is None:
                self._tick = self._clock.callLater(TICK_SECONDS, self._look_at_clock)
            return session
        self.refused += 1
        log.warn("FastAGI: connection from {host} closed: {why}", host=host, why=why)
        return None

    def _make_room(self) -> None:
        """Close the oldest of many that say nothing: a leg speaks at once, and must not have to wait for those."""
        if len(self._silent) >= MAX_SILENT:
            oldest = next(iter(self._silent))
            del self._silent[oldest]
            self.refused += 1
            oldest.close()

    def send_soon(self, session: Session) -> None:
        """Let the session send at the end of this reactor turn, with all that were answered in it.

        Sent one by one between what comes in, each command would wake the peer for itself.
        """
        if not self._sending:
            self._clock.callLater(0, self._send)
        self._sending.append(session)

    def _send(self) -> None:
        sending, self._sending = self._sending, []
        for session in sending:
            session.send_now()

    def begin(self, session: Session) -> None:
        """The session's leg is known."""
        self._silent.pop(session, None)
        self.sessions.add(session)
        try:
            self._serve(session)
        except Exception:
            log.failure("FastAGI: {session} could not be served", session=session)
            session.close()

    def ended(self, session: Session) -> None:
        """The session's connection is closed."""
        self._silent.pop(session, None)
        self.sessions.discard(session)
        if self._tick is not None and not self._silent and not self.sessions:
            self._tick.cancel()
            self._tick = None

    def _look_at_clock(self) -> None:
        self._tick = self._clock.callLater(TICK_SECONDS, self._look_at_clock)
        now = self._clock.seconds()
        for session in (*self._silent, *self.sessions):
            session.look_at_clock(now)
