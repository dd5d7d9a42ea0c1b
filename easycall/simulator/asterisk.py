"""The simulated Asterisk as a whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import evolve, field, frozen
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger
from twisted.python.failure import Failure

from easycall.simulator import causes
from easycall.simulator.applications import APPLICATIONS, NAMES
from easycall.simulator.channel import RING, Channel, Place
from easycall.simulator.core import Core
from easycall.simulator.dialplan import parse
from easycall.simulator.fastagi import Session
from easycall.simulator.faults import Faults
from easycall.simulator.fax import Faxing
from easycall.simulator.line import FarEnd, Line, Outside
from easycall.simulator.manager import ManagerFactory, ManagerSession
from easycall.simulator.mixmonitor import MixMonitor, Tape
from easycall.simulator.originate import Dialling, Order

__all__ = ["Account", "Settings", "SimulatedAsterisk"]

log = Logger()


@frozen
class Account:
    """An AMI account: its secret and the classes of its rights, as in manager.conf."""

    secret: str = field(repr=False)
    read: frozenset[str]
    write: frozenset[str]


@frozen
class Settings:
    """How this Asterisk is set up."""

    ami: int
    """The loopback port of its AMI."""
    accounts: Mapping[str, Account]
    dialplan: str
    """The text of its extensions.conf."""
    variables: Mapping[str, str] = field(factory=dict)
    """Global variables, in place of those of the dialplan's [globals]: EASYCALL_AGI, EASYCALL_PATIENCE."""
    boot_seconds: float = 0.2
    """From :meth:`SimulatedAsterisk.start` to FullyBooted."""
    music: Mapping[str, str] = field(factory=lambda: {"default": "440"})
    """Music class -> the sound of it."""
    sounds: Callable[[str], float | None] = lambda name: 1.0
    """How many seconds a sound file is; None: there is none of that name."""
    endpoints: Mapping[str, str] = field(factory=dict)
    """PJSIP endpoint -> its device state, for those who ask for the list."""
    tape: Callable[[str], Tape] | None = None
    """Makes the file of a MixMonitor; None: none is written."""
    fax_seconds: float = 6.0
    """How long two fax machines need to come to terms, as measured on a real one."""
    page_seconds: float = 7.5
    """And for each page."""


class SimulatedAsterisk:
    """An Asterisk double.  ``reactor`` gives time and TCP: the real one, or a VirtualReactor."""

    def __init__(self, reactor: Any, settings: Settings, outside: Outside, *, faults: Faults | None = None) -> None:
        self.reactor = reactor
        self.settings = settings
        self.outside = outside
        self.core = self._new_core(faults or Faults())
        self.managers: set[ManagerSession] = set()
        self.sessions: set[Session] = set()
        """The FastAGI connections that are open."""
        self.dialling: dict[str, Dialling] = {}
        """The Originates whose phone has not decided, by Uniqueid."""
        self.faxes: dict[str, Faxing] = {}
        """Uniqueid -> a fax that is under way."""
        self.booted_at = 0.0
        self.booted = False
        self._walks: set[Deferred[None]] = set()
        self._listening: IListeningPort | None = None
        self.shuts_down = False
        """True while it waits for its last call to end: no channel is made, and every action is refused."""
        self._emptied: Deferred[None] | None = None
        """Who waits for the last channel to go."""
        self._challenges = 100_000_000
        self._records = 0

    def _new_core(self, faults: Faults) -> Core:
        core = Core(
            self.reactor,
            parse(self.settings.dialplan),
            music=self.settings.music,
            sounds=self.settings.sounds,
            applications=APPLICATIONS,
            faults=faults,
            run_application=self.run_application,
            endpoints=self.settings.endpoints,
            node=self.settings.ami,
        )
        core.globals |= self.settings.variables
        core.on_record = self._on_record
        core.on_dialled = self._on_dialled
        core.on_dial_state = self._on_dial_state
        core.on_ended = self._on_ended
        return core

    # Life

    async def start(self) -> None:
        """Boot: listen for AMI at once, be fully booted a moment later."""
        self._listening = self.reactor.listenTCP(self.settings.ami, ManagerFactory(self), interface="127.0.0.1")
        self.booted_at = self.core.now()
        self.core.later(self.settings.boot_seconds, self._boot)

    def _boot(self) -> None:
        if self._listening is None:
            return
        self.booted = True
        for session in list(self.managers):
            if session.account is not None:
                self._tell_booted(session)

    async def stop(self) -> None:
        """End: every line is hung up, every connection closed, nothing is left of it."""
        for channel in list(self.core.channels.values()):
            channel.hang_up_soft(0)
        await self._close(ManagerSession.close)

    async def shut_down(self, *, restart: bool = False) -> None:
        """End in good order, as by SIGTERM: everybody is hung up and told, and a leg that FastAGI holds is waited for.

        ``restart``: say that it will be back, for whoever then calls :meth:`start`.
        """
        talking = {channel.id for channel in self.core.channels.values() if channel.bridge is not None}
        for channel in list(self.core.channels.values()):
            self.hang_up(channel, causes.NORMAL if channel.id in talking else causes.UNKNOWN)
        if self.core.channels:
            self._emptied = Deferred()
            await self._emptied
        self.core.tell("system", "Shutdown", None, [("Shutdown", "Cleanly"), ("Restart", str(restart))])
        await self.stop()

    async def stop_gracefully(self) -> None:
        """End when the last call is over, unless :meth:`go_on` comes before."""
        self.shuts_down = True
        if self.core.channels:
            self._emptied = Deferred()
            await self._emptied
        if self.shuts_down:
            await self.stop()

    def go_on(self) -> None:
        """``core abort shutdown``."""
        self.shuts_down = False
        if self._emptied is not None:
            self._emptied.callback(None)
            self._emptied = None

    async def crash(self) -> None:
        """Die as by SIGKILL: every connection is cut at once, every channel is gone without a word to anybody on AMI."""
        for session in list(self.managers):
            session.cut()
            self.core.forget(session)
        await self._close(ManagerSession.cut)

    async def _close(self, leave: Callable[[ManagerSession], None]) -> None:
        listening, self._listening = self._listening, None
        self.booted = self.shuts_down = False
        if listening is not None:
            await maybeDeferred(listening.stopListening)
        for agi in list(self.sessions):
            agi.abandon()
        for walk in list(self._walks):
            walk.cancel()
        for dialling in self.dialling.values():
            dialling.stop()
        self.dialling.clear()
        for channel in list(self.core.channels.values()):
            channel.finish()
        for session in list(self.managers):
            leave(session)
        self.core = self._new_core(self.core.faults)

    def read_dialplan(self, text: str, *, told: bool) -> None:
        """Read another extensions.conf.  ``told``: by a reload of its module, which AMI tells; else ``dialplan reload``."""
        self.settings = evolve(self.settings, dialplan=text)
        self.core.dialplan = parse(text)
        if told:
            self.core.tell("system", "Reload", None, [("Module", "pbx_config.so"), ("Status", "0")])

    def cut_ami(self) -> None:
        """Break every AMI connection as a network does; Asterisk goes on."""
        for session in list(self.managers):
            session.cut()

    # AMI

    def new_challenge(self) -> str:
        """For a log-in by MD5."""
        self._challenges += 1
        return str(self._challenges)

    def logged_in(self, session: ManagerSession) -> None:
        """A connection has logged in."""
        if self.booted:
            self._tell_booted(session)

    def _tell_booted(self, session: ManagerSession) -> None:
        if session.wants("system", "FullyBooted"):
            uptime = str(int(self.core.now() - self.booted_at))
            facts = [("Uptime", uptime), ("LastReload", uptime), ("Status", "Fully Booted")]
            session.tell("system", "FullyBooted", facts)

    # Calls

    def call_in(self, number: str, caller: str, caller_name: str, far: FarEnd, *, trunk: str = "world") -> Line:
        """A call comes in over a trunk, to ``number`` in the dialplan context ``easycall-in``."""
        channel = self.core.new_channel(f"PJSIP/{trunk}", far)
        channel.state = RING
        channel.caller, channel.caller_name, channel.dnid = caller, caller_name, number
        channel.context, channel.extension = "easycall-in", number
        if self.shuts_down:  # in truth none is made, and nobody is told
            del self.core.channels[channel.id]
            channel.over = True
            self.core.later(0.0, far.ended, causes.CONGESTION)
            return channel
        self.core.begin(channel)
        self.walk(channel, ("easycall-in", number, 1))
        return channel

    def walk(self, channel: Channel, place: Place, application: tuple[str, str] | None = None) -> None:
        """Let a channel walk the dialplan."""
        walk = Deferred.fromCoroutine(channel.run(place, application))
        self._walks.add(walk)
        walk.addBoth(self._walked, walk, channel)

    def _walked(self, result: object, walk: Deferred[None], channel: Channel) -> None:
        self._walks.discard(walk)
        if isinstance(result, Failure):
            if not result.check(CancelledError):
                log.failure("the simulated channel {channel} failed", result, channel=channel)
            channel.finish()

    async def run_application(self, channel: Channel, name: str, data: str) -> None:
        """Run an application on a channel; an unknown one ends it, as Asterisk does.  Raises Interrupted."""
        application = APPLICATIONS.get(name)
        if application is None:
            log.error("the simulated Asterisk has no application {name}", name=name)
            channel.hang_up_soft(0)
            return
        channel.application, channel.data = NAMES[name], data
        await application(self, channel, data)

    def originate(self, order: Order) -> None:
        """Dial, when the order reaches the thread that does it."""
        dialling = Dialling(self, order)
        self.core.later(self.core.faults.originate(), dialling.begin)

    def hang_up(self, channel: Channel, cause: int) -> None:
        """Hang a channel up from here, whatever it does."""
        if channel.id in self.dialling:
            channel.hung_up, channel.cause = True, cause
            channel.interrupt_dialling()
        else:
            channel.hang_up_soft(cause)

    def _on_ended(self, channel: Channel) -> None:
        if self._emptied is not None and not self.core.channels:
            emptied, self._emptied = self._emptied, None
            emptied.callback(None)

    def _on_dialled(self, channel: Channel) -> None:
        if (dialling := self.dialling.get(channel.id)) is not None:
            dialling.decided(channel)

    def _on_dial_state(self, channel: Channel) -> None:
        if (dialling := self.dialling.get(channel.id)) is not None:
            dialling.on_state(channel)

    # Recording

    def _on_record(self, channel: Channel, file: str) -> Callable[[], None]:
        """RECORD FILE: a tape of what the far end says."""
        if self.settings.tape is None:
            return lambda: None
        tape = self.settings.tape(file)
        channel.takes.append(tape)
        channel.tell_takes()

        def stop() -> None:
            channel.takes.remove(tape)
            tape.stop()

        return stop

    def record(self, channel: Channel, file: str) -> str:
        """Begin a MixMonitor; its id."""
        self._records += 1
        number = f"{self._records:#x}"
        channel.recordings[number] = MixMonitor(channel, file, self.settings.tape)
        self.core.note_recording(channel, file)
        self.core.tell("call", "MixMonitorStart", channel)
        return number

    def stop_recording(self, channel: Channel, number: str = "") -> None:
        """End one MixMonitor of a channel, or all."""
        for one in [number] if number in channel.recordings else [*channel.recordings] if not number else []:
            channel.recordings.pop(one).stop()
        self.core.tell("call", "MixMonitorStop", channel)
