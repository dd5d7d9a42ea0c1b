"""A leg at home: the simulated Asterisk connects to the daemon's FastAGI and does what it is told."""

from __future__ import annotations

import re
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.internet.protocol import ClientFactory, Protocol, connectionDone
from twisted.python.failure import Failure

from easycall.simulator import agi
from easycall.simulator.agi_commands import ALIVE_ONLY, COMMANDS, USAGE, Wrong
from easycall.simulator.channel import Channel, Interrupted

if TYPE_CHECKING:
    from easycall.simulator.asterisk import SimulatedAsterisk

__all__ = ["VERSION", "run"]

VERSION = "22.0.0-simulated"
CONNECT_SECONDS = 2.0
"""``MAX_AGI_CONNECT``."""
DEAD = "511 Command Not Permitted on a dead channel or intercept routine"
UNKNOWN = "510 Invalid or unknown command"

_URL = re.compile(r"agi://([^/:]+)(?::(\d+))?(?:/(.*))?")


async def run(asterisk: SimulatedAsterisk, channel: Channel, data: str) -> None:
    """The dialplan application ``AGI(agi://host:port/script,argument,…)``; sets AGISTATUS."""
    url, *arguments = data.split(",")
    found = _URL.fullmatch(url)
    if found is None:
        channel.variables["AGISTATUS"] = "FAILURE"
        return
    session = Session(channel, _environment(channel, url, found[3] or "", arguments))
    asterisk.sessions.add(session)
    session.gone.addCallback(lambda _: asterisk.sessions.discard(session))
    try:
        await channel.wait(_connected(asterisk, found[1], int(found[2] or 4573), session))
    except ConnectError:
        asterisk.sessions.discard(session)
        channel.variables["AGISTATUS"] = "FAILURE"
        return
    except Interrupted:
        session.abandon()
        raise
    await session.serve()
    channel.variables["AGISTATUS"] = "HANGUP" if channel.hung_up else "SUCCESS"
    channel.check()


def _connected(asterisk: SimulatedAsterisk, host: str, port: int, session: Session) -> Deferred[None]:
    asterisk.reactor.connectTCP(host, port, _Connecting(session), timeout=CONNECT_SECONDS)
    return session.made


def _environment(channel: Channel, url: str, script: str, arguments: list[str]) -> bytes:
    facts = {
        "network": "yes",
        "network_script": script,
        "request": url,
        "channel": channel.name,
        "language": "en",
        "type": channel.name.partition("/")[0],
        "uniqueid": channel.id,
        "version": VERSION,
        "callerid": channel.caller or "unknown",
        "calleridname": channel.caller_name or "unknown",
        "callingpres": "0",
        "callingani2": "0",
        "callington": "0",
        "callingtns": "0",
        "dnid": channel.dnid or "unknown",
        "rdnis": "unknown",
        "context": channel.context,
        "extension": channel.extension,
        "priority": str(channel.priority),
        "enhanced": "0.0",
        "accountcode": "",
        "threadid": "140000000000000",
        **{f"arg_{number}": argument for number, argument in enumerate(arguments, 1)},
    }
    return agi.environment((f"agi_{name}", value) for name, value in facts.items())


class Session(Protocol):
    """One connection to a FastAGI server."""

    def __init__(self, channel: Channel, environment: bytes) -> None:
        self.channel = channel
        self.made: Deferred[None] = Deferred()
        """Fires when the connection is there, fails when it cannot be made."""
        self.gone: Deferred[None] = Deferred()
        """Fires when the connection is over."""
        self._environment = environment
        self._reader = agi.Reader()
        self._lines: deque[str] = deque()
        self._changed: Deferred[None] | None = None
        self._command = ""
        """What is being carried out."""
        self._closed = False
        self._dead = False

    # The application

    async def serve(self) -> None:
        """Carry out commands until the server closes.

        A leg that is hung up or redirected stays here until then (facts M5), one that is bridged is taken away: the
        connection goes on without it, with nothing to command.
        """
        channel = self.channel
        try:
            while not self._closed:
                if not self._lines:
                    await channel.wait(self._change())
                    continue
                channel.check()
                self._command = self._lines.popleft()
                reply = await self._execute(self._command)
                self._command = ""
                self._say(reply)
        except Interrupted:
            if self._closed and not channel.interrupted:
                return
            if channel.taken:
                self.channel = channel.shell()
            if self._command:
                self._say("200 result=-1")
            self._die()
        if not channel.taken:
            await self._until_closed()

    async def _until_closed(self) -> None:
        """A Bridge takes even a leg that has hung up, and its hang-up is forgotten then."""
        while not self._closed and not self.channel.taken:
            with suppress(Interrupted):
                await self.channel.wait(self._change(), anyway=True)
        if self.channel.taken:
            self.channel = self.channel.shell()

    def _change(self) -> Deferred[None]:
        """Fires at the next line, or when the connection is closed."""
        self._changed = Deferred()
        return self._changed

    def _tell_changed(self) -> None:
        changed, self._changed = self._changed, None
        if changed is not None and not changed.called:
            changed.callback(None)

    async def _execute(self, line: str) -> str:
        given = agi.words(line)
        for length in (3, 2, 1):
            verb = " ".join(given[:length]).upper()
            if verb in COMMANDS:
                break
        else:
            return UNKNOWN
        if self._dead and verb in ALIVE_ONLY:
            return DEAD
        try:
            return f"200 result={await COMMANDS[verb](self.channel, given[length:])}"
        except Wrong:
            usage = USAGE.format(verb=verb)
            return f"520-Invalid command syntax.  Proper usage follows:\n{usage}\n520 End of proper usage."

    def _say(self, text: str) -> None:
        if self.transport is not None and not self._closed:
            self.transport.write(text.encode("utf-8", "surrogateescape") + b"\n")

    def _die(self) -> None:
        """The leg is not at home any more: say so, and carry out only what needs no leg."""
        self._dead = True
        if self.transport is not None and not self._closed:
            self.transport.write(agi.HANGUP)
        while self._lines:
            self._answer_dead(self._lines.popleft())

    def _answer_dead(self, line: str) -> None:
        # An application, which Asterisk begins even now, ends at once.
        Deferred.fromCoroutine(self._execute(line)).addErrback(_broken_off).addCallback(self._say)

    def abandon(self) -> None:
        """Nobody needs this connection any more."""
        self._dead = True
        self.made.addErrback(lambda failure: None)
        if self.transport is not None:
            self.transport.loseConnection()

    # Protocol

    def connectionMade(self) -> None:
        """Tell about the leg."""
        if self._dead:
            self.abandon()
            return
        if self.transport is not None:
            self.transport.setTcpNoDelay(True)  # type: ignore[attr-defined]
            self.transport.write(self._environment)
        if not self.made.called:
            self.made.callback(None)

    def dataReceived(self, data: bytes) -> None:
        """Commands come in."""
        for line in self._reader.receive(data):
            if self._dead:
                self._answer_dead(line)
            else:
                self._lines.append(line)
        self._tell_changed()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The server closed, or died: every command ends but EXEC, whose application does not look here (facts M3)."""
        self._closed = True
        if self._command and not self._command.upper().startswith("EXEC"):
            self.channel.interrupt()
        self._tell_changed()
        if not self.gone.called:
            self.gone.callback(None)


def _broken_off(failure: Failure) -> str:
    failure.trap(Interrupted)
    return "200 result=-1"


class _Connecting(ClientFactory):
    """Gives the connection its one Session, and tells of a failure to connect."""

    noisy = False

    def __init__(self, session: Session) -> None:
        self._session = session

    def buildProtocol(self, addr: object) -> Session:
        """The Session."""
        return self._session

    def clientConnectionFailed(self, connector: object, reason: Failure) -> None:
        """Nobody listens there, or does not answer in time."""
        with suppress(AttributeError):
            if not self._session.made.called:
                self._session.made.errback(ConnectError(string=str(reason.value)))
            if not self._session.gone.called:
                self._session.gone.callback(None)
