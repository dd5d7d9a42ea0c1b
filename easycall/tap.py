"""``twistd easycall``: the page that joins all parts.

:class:`Options` reads and checks the configuration; :func:`makeService` makes every object and hands each what it needs.  No
other module makes these objects or sees the global reactor.
"""

from __future__ import annotations

import atexit
import os
import random
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import frozen
from twisted.application.service import MultiService
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.error import CannotListenError, ReactorNotRunning
from twisted.internet.interfaces import IDelayedCall, IListeningPort, IProtocolFactory, IReactorTime
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python import usage
from twisted.python.failure import Failure
from ulid import ULID
from zope.interface import implementer

from easycall.acd.distributor import Distributor
from easycall.asterisk.fastagi import FastAgiFactory
from easycall.asterisk.manager import Account, Manager
from easycall.asterisk.switch import AsteriskSwitch
from easycall.config import AsteriskBox, Config, ConfigError, FaxSettings, load
from easycall.contacts import Contacts
from easycall.fax import Documents, FaxDesk, Inbox
from easycall.ivr import library
from easycall.ivr.flow import Flow, FlowError
from easycall.ivr.prompts import PromptError, Prompts
from easycall.ivr.runner import Means, Sounds
from easycall.ivr.script import Script
from easycall.model import Agent
from easycall.outbound.dialling import Dialling
from easycall.outbound.donotcall import DoNotCall
from easycall.outbound.lines import Lines
from easycall.outbound.rules import Rules
from easycall.ports import Database, Messages, StoreUnavailable
from easycall.recording import Recordings
from easycall.secure.sealing import Seal
from easycall.secure.service import WebService
from easycall.service import CannotStart, Daemon, Part, nothing
from easycall.stats.journal import Journal
from easycall.store.contacts import ContactArchive
from easycall.store.donotcall import DoNotCallShelf
from easycall.store.messages import MessageFiles
from easycall.store.recordings import RecordingFiles
from easycall.store.sqlite import SQLite
from easycall.supervision import Supervisions

__all__ = ["Conduct", "Joined", "Options", "Pbx", "join", "join_conduct", "makeService", "make_conduct"]

log = Logger()

DEFAULT_FILE = "/etc/easycall/easycall.toml"


class Options(usage.Options):
    """The command line of ``twistd easycall``."""

    synopsis = "[options]"
    longdesc = "A contact centre on top of Asterisk.  See etc/easycall.toml for every option of the configuration."
    optParameters = [["config", "c", DEFAULT_FILE, "The configuration file."]]  # noqa: RUF012 - twistd's own form

    config: Config
    flows: dict[str, Flow]

    def opt_check(self, path: str) -> None:
        """Check this configuration file and its flows, say what is wrong with them, and start nothing."""
        self._read(path)
        print(f"{path}: all right")  # noqa: T201 - the answer of the command
        sys.exit(0)

    def postOptions(self) -> None:
        """Read the configuration."""
        self._read(self["config"])

    def _read(self, path: str) -> None:
        """Read the configuration and its flows; ends with status 1 and every fault on standard error.

        (Not by UsageError: twistd would print its own options above the faults.)
        """
        wrong: list[Exception] = []
        try:
            self.config = load(Path(path), os.environ)
        except ConfigError as error:
            wrong.append(error)
            self.config = error.readable
        try:
            if self.config and (not wrong or self.config.flows_directory.is_dir()):
                self.flows = library.flows_of(self.config)
        except FlowError as error:
            wrong.append(error)
        if wrong:
            sys.exit("\n".join(map(str, wrong)))


@implementer(IReactorTime)
class SteadyClock:
    """The reactor's timers, and a wall time that never jumps: the wall clock at the start plus what has passed since.

    (``reactor.seconds()`` follows every correction of the machine's clock, and durations could come out negative.)
    """

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor
        self._offset = time.time() - time.monotonic()

    def seconds(self) -> float:
        """Now, in seconds since the epoch."""
        return self._offset + time.monotonic()

    def callLater(self, delay: float, callable: Callable[..., Any], *args: object, **kwargs: object) -> IDelayedCall:
        """Call later; see IReactorTime."""
        return self._reactor.callLater(delay, callable, *args, **kwargs)

    def getDelayedCalls(self) -> Any:
        """What will be called; see IReactorTime."""
        return self._reactor.getDelayedCalls()


@frozen
class Pbx:
    """One Asterisk: its call control and its two connections."""

    box: AsteriskBox
    switch: AsteriskSwitch
    manager: Manager
    fastagi: FastAgiFactory


def makeService(options: Options) -> MultiService:
    """The daemon as a service of twistd."""
    from twisted.internet import reactor

    service = MultiService()
    daemon = join(options.config, options.flows, reactor, Leaving(reactor)).daemon
    daemon.setServiceParent(service)  # type: ignore[no-untyped-call] # Twisted's
    return service


class Leaving:
    """Ends the process in order, with status 1 and one line that says why."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._said = False

    def __call__(self, why: str) -> None:
        """Say why, and let the reactor stop the daemon.  Only the first reason counts."""
        if self._said:
            return
        self._said = True
        log.critical("easycall cannot run: {why}", why=why)
        # twistd ends with 0 after any orderly stop; systemd and scripts must see that this was none.  The status is set last
        # of all, when twistd has removed its pid file and closed the log.
        atexit.register(os._exit, 1)
        if not self._reactor.running:
            self._reactor.callWhenRunning(self._reactor.stop)
        else:
            with suppress(ReactorNotRunning):  # a signal stops it already
                self._reactor.stop()
        print(f"easycall cannot run: {why}", file=sys.__stderr__, flush=True)  # by now sys.stderr leads to the log


@frozen
class Conduct:
    """What serves calls, made and not started."""

    clock: IReactorTime
    journal: Journal
    distributor: Distributor
    contacts: Contacts
    supervisions: Supervisions
    pbxs: list[Pbx]
    dialling: Dialling
    do_not_call: DoNotCall
    fax: FaxDesk | None = None

    def let_go(self) -> None:
        """Touch no call any more: all go on without us."""
        self.distributor.stop()
        for pbx in self.pbxs:
            pbx.switch.let_go()


@frozen
class Joined:
    """The daemon, and what a test looks at."""

    daemon: Daemon
    contacts: Contacts
    supervisions: Supervisions
    pbxs: list[Pbx]
    distributor: Distributor
    journal: Journal


def join(config: Config, flows: dict[str, Flow], reactor: Any, fatal: Callable[[str], None]) -> Joined:
    """Make all parts of the daemon and join them."""
    database = SQLite(str(config.store_path), reactor)
    prompts = Prompts(config.prompts, reactor)
    clock = SteadyClock(reactor)
    mail = config.voicemail
    messages = MessageFiles(mail.directory, mail.asterisk_directory, mail.max_seconds, mail.silence_seconds, reactor)
    files = RecordingFiles(config.recordings.directory, reactor)
    fax = _fax(config.fax, clock, reactor)
    parts = config, flows, clock, reactor, database, prompts.sounds, lambda: str(ULID())
    conduct = make_conduct(*parts, size=files.size, fax=fax, messages=messages)

    async def open_store() -> None:
        try:
            _make_folder(config.data)
            await database.open()
        except OSError as error:
            raise CannotStart(f"node.data = {str(config.data)!r}: {error.strerror}") from error
        except StoreUnavailable as why:
            raise CannotStart(f"store.url: {why}") from why

    async def prepare() -> None:
        try:
            wanted = [
                *library.every_prompt(flows, config.queues, config.voicemail.boxes),
                *([fax.start_prompt] if fax else []),
            ]
            await prompts.prepare(wanted)
        except PromptError as why:
            raise CannotStart(f"prompts: {why}") from why

    async def make_mail_folder() -> None:
        try:
            if mail.boxes:
                messages.make_folder()
        except OSError as error:
            raise CannotStart(f"voicemail.directory = {str(mail.directory)!r}: {error.strerror}") from error

    async def look_at_recordings() -> None:
        if config.records:
            try:
                files.prepare()
            except OSError as error:
                why = f"{error.strerror}; docs/recording.rst has the rights"
                raise CannotStart(f"recordings.directory = {str(config.recordings.directory)!r}: {why}") from error

    before = [
        Part("store", open_store, database.close),
        Part("prompts", prepare, nothing),
        Part("voice mail", make_mail_folder, nothing),
        Part("recordings", look_at_recordings, nothing),
    ]
    if fax is not None:
        before.append(_fax_part(fax, config.fax.directory))
    return join_conduct(conduct, reactor, fatal, before, [_api(config, reactor, conduct, files, messages)])


def make_conduct(
    config: Config,
    flows: dict[str, Flow],
    clock: IReactorTime,
    reactor: Any,
    database: Database,
    sounds: Sounds,
    new_id: Callable[[], str],
    dice: Callable[[], float] = random.random,
    size: Callable[[str], Awaitable[int | None]] | None = None,
    fax: FaxDesk | None = None,
    messages: Messages | None = None,
) -> Conduct:
    """What serves calls, on this clock, with this database, playing these sounds; ``reactor`` gives TCP.

    ``dice`` (0 to 1) spreads the retries of links.  ``size``: how long a file of recordings is
    (:class:`~easycall.recording.Recordings`); None: nothing can be recorded.
    ``messages``: where voice mail is kept, needed for the boxes.

    Beside :func:`join` it is for who lets a daemon live in virtual time (:mod:`easycall.lab.day`).
    """
    journal = Journal(clock, ContactArchive(database))
    recordings = Recordings(config.recordings.asterisk_directory, new_id, size) if size is not None else None
    agents = [
        Agent(one.id, one.name, one.queues, one.queues, one.phone, one.auto_answer, supervises=one.supervises)
        for one in config.agents.values()
    ]
    distributor = Distributor(config.queues, agents, clock, journal)
    script = Script(flows, config.flow, sounds, _means(config, reactor, clock), config.voicemail.boxes)
    do_not_call = DoNotCall(DoNotCallShelf(database), clock)
    rules = Rules.of(config.dialing, config.trunks, config.numbers)
    dialling = Dialling(rules, Lines(config.trunks), do_not_call)
    parts = clock, journal, distributor, script, new_id, dialling, recordings, fax
    contacts = Contacts(*parts, messages=messages, park_seconds=config.park_seconds)
    pbxs = [_pbx(box, clock, reactor, journal, distributor, contacts, dice) for box in config.asterisks]
    dialling.use({pbx.box.name: pbx.switch for pbx in pbxs})
    supervisions = Supervisions(clock, journal, distributor, contacts, [pbx.switch for pbx in pbxs], new_id)
    return Conduct(clock, journal, distributor, contacts, supervisions, pbxs, dialling, do_not_call, fax)


def _fax(settings: FaxSettings, clock: IReactorTime, reactor: Any) -> FaxDesk | None:
    """The fax desk, if there is fax at all."""
    if not settings.lines:
        return None

    def in_thread(work: Callable[..., Any], /, *arguments: Any) -> Deferred[Any]:
        return deferToThreadPool(reactor, reactor.getThreadPool(), work, *arguments)

    made = settings, clock, reactor, in_thread
    return FaxDesk(settings, Documents(*made), Inbox(*made), clock)


def _fax_part(fax: FaxDesk, folder: Path) -> Part:
    async def start() -> None:
        try:
            await fax.open()
        except OSError as error:
            raise CannotStart(f"fax.directory = {str(folder)!r}: {error.strerror}") from error

    return Part("fax", start, fax.close)


def _means(config: Config, reactor: Any, clock: IReactorTime) -> Means:
    """What flows may use outside."""
    services = {
        name: WebService(reactor, clock, one.url, ca=one.ca, token=one.token, seconds=one.timeout)
        for name, one in config.services.items()
    }
    return Means({name: Seal(pem) for name, pem in config.keys.items()}, services)


def join_conduct(
    conduct: Conduct, reactor: Any, fatal: Callable[[str], None], before: Sequence[Part], beside: Sequence[Part] = ()
) -> Joined:
    """The daemon of a conduct: ``before`` it what it needs, ``beside`` it what else is reached from outside."""

    async def let_go() -> None:
        conduct.let_go()

    parts = [
        *before,
        Part("journal", conduct.journal.start, conduct.journal.stop),
        Part("do-not-call list", conduct.do_not_call.start, nothing),
        Part("contacts", nothing, conduct.contacts.stop),
        Part("supervisions", nothing, conduct.supervisions.stop),
        *(_fastagi(pbx, reactor) for pbx in conduct.pbxs),
        *(_ami(pbx, fatal) for pbx in conduct.pbxs),
        *beside,
        Part("call control", nothing, let_go),
    ]
    daemon = Daemon(parts, conduct.clock, fatal)
    return Joined(daemon, conduct.contacts, conduct.supervisions, conduct.pbxs, conduct.distributor, conduct.journal)


def _make_folder(folder: Path) -> None:
    """Make the data folder when it is not there.  Asterisk reads the prompts in it; what is confidential is not readable."""
    if not folder.is_dir():
        folder.mkdir()
        folder.chmod(0o755)


def _pbx(
    box: AsteriskBox,
    clock: IReactorTime,
    reactor: Any,
    journal: Journal,
    distributor: Distributor,
    contacts: Contacts,
    dice: Callable[[], float],
) -> Pbx:
    distributor.freeze(box.name)
    switch = AsteriskSwitch(
        box.name,
        dial=box.dial,
        context=box.context,
        clock=clock,
        journal=journal,
        arrived=contacts.arrive,
        went_up=distributor.thaw,
        went_down=distributor.freeze,
        phone_is=distributor.phone_is,
    )
    manager = Manager(
        box.name,
        clientFromString(reactor, box.ami),
        Account(box.username, box.secret, box.login),
        clock,
        events=switch.listeners(),
        connected=switch.connected,
        lost=switch.lost,
        random=dice,
    )
    switch.use(manager)
    return Pbx(box, switch, manager, FastAgiFactory(switch.serve, clock, peers=box.peers))


def _ami(pbx: Pbx, fatal: Callable[[str], None]) -> Part:
    """Starting does not wait for an Asterisk that is away; a log-in refused at boot is a fault of the configuration."""

    async def start() -> None:
        pbx.manager.start().addErrback(refused)

    def refused(failure: Failure) -> None:
        if not failure.check(CancelledError):  # by stopping before the first log-in
            fatal(f"asterisk.{failure.getErrorMessage()}")  # which begins with the name of the Asterisk

    return Part(f"AMI link to {pbx.box.name}", start, pbx.manager.stop)


def _fastagi(pbx: Pbx, reactor: Any) -> Part:
    ports: list[IListeningPort] = []

    async def start() -> None:
        ports.append(await _listen(f"asterisk.{pbx.box.name}.fastagi", pbx.box.fastagi, pbx.fastagi, reactor))

    async def stop() -> None:
        for port in ports:
            await maybeDeferred(port.stopListening)
        for session in list(pbx.fastagi.sessions):
            session.close()

    return Part(f"FastAGI of {pbx.box.name} on {pbx.box.fastagi}", start, stop)


async def _listen(setting: str, endpoint: str, factory: IProtocolFactory, reactor: Any) -> IListeningPort:
    """Listen at the endpoint that a setting gives.  Raises CannotStart, above all when its port is taken."""
    try:
        port: IListeningPort = await serverFromString(reactor, endpoint).listen(factory)
        return port
    except (CannotListenError, OSError, ValueError) as error:
        raise CannotStart(f"{setting} = {endpoint!r}: {error}") from error


def _api(config: Config, reactor: Any, conduct: Conduct, files: RecordingFiles, messages: MessageFiles) -> Part:
    ports: list[IListeningPort] = []
    apis: list[Any] = []

    async def start() -> None:
        from easycall.api.app import Api  # late: klein installs the global reactor when it is imported

        links = {pbx.box.name: pbx.switch for pbx in conduct.pbxs}
        api = Api(
            distributor=conduct.distributor,
            contacts=conduct.contacts,
            supervisions=conduct.supervisions,
            journal=conduct.journal,
            links=links,
            tokens=config.tokens,
            clock=conduct.clock,
            files=files,
            dialling=conduct.dialling,
            do_not_call=conduct.do_not_call,
            fax=conduct.fax,
            messages=messages,
            tell_agents=config.tell_agents,
        )
        apis.append(api)
        ports.append(await _listen("api.listen", config.api_listen, api.site(), reactor))

    async def stop() -> None:
        for port in ports:
            await maybeDeferred(port.stopListening)
        for api in apis:
            api.stop()

    return Part(f"API on {config.api_listen}", start, stop)
